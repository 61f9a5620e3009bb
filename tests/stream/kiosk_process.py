"""A kiosk server in a process of its own, to be killed: `-m tests.stream.kiosk_process BROKER_PORT`."""

import asyncio
import sys

from stream.config import Config, SignerSettings
from stream.kiosk import Broker, KioskConfig, Kiosks
from stream.server import run
from tests.stream.stand_ins import light_cast

if __name__ == "__main__":
    config = KioskConfig(Broker("127.0.0.1", int(sys.argv[1])), ("lobby",))
    settings = Config(port=0, width=128, height=64, signers=(SignerSettings("lobby"),))
    asyncio.run(run(settings, light_cast(), beside=[Kiosks(config)]))
