"""A kiosk server in a process of its own, to be killed. Arguments: the broker's port, the memory's file."""

import asyncio
import sys
from pathlib import Path

from stream.config import Config, SignerSettings
from stream.kiosk import Broker, KioskConfig, Kiosks
from stream.server import run
from tests.stream.stand_ins import light_cast

if __name__ == "__main__":
    config = KioskConfig(Broker("127.0.0.1", int(sys.argv[1])), ("lobby",), memory=Path(sys.argv[2]))
    settings = Config(port=0, width=128, height=64, signers=(SignerSettings("lobby"),))
    asyncio.run(run(settings, light_cast(), beside=[Kiosks(config)]))
