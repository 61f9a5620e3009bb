"""Kiosks on MQTT: commands in, acknowledgements, state and events out; one server drives many.

Enters: a broker's address and the names of kiosks. Leaves: `Kiosks`, which the server starts beside its
signers. Does not know how signing, drawing or WebRTC is done; every kiosk is a signer on the stage.

    broker <-> link (aiomqtt) <-> kiosk <-> playlist <-> channel
                                    |
                                  ledger (what was taken, on disk)
"""

from stream.kiosk.config import Broker, KioskConfig
from stream.kiosk.kiosks import Kiosks

__all__ = ["Broker", "KioskConfig", "Kiosks"]
