"""A fast fuzzer for the commands of kiosks: seeds, cut, spliced and mutated; run it for as long as you like.

Enters: a number of inputs and a seed. Leaves: one JSON line: inputs, crashes, hangs (over one second), growth
of memory. Run as `python -m tests.stream.kiosk_fuzz --inputs 1000000`; the suite runs a short form.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
import traceback
from typing import Any

from jsonschema import Draft7Validator

from stream.kiosk import answers, asyncapi, schema
from stream.kiosk.commands import Refused, parse
from stream.kiosk.config import KioskLimits

LIMITS = KioskLimits()
HANG_S = 1.0
SEEDS = [json.dumps(example).encode() for name in schema.COMMANDS for example in asyncapi.EXAMPLES[name]]
NASTY = [
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"1e999", b"-0", b"NaN", b"Infinity",
    b"9" * 5000, b"[" * 400, b"{" * 9, b'{"a":' * 9, b"]" * 50, b'"', b"\\", b"null", b"true", b"[]", b"{}",
    b'"command":', b'"id":1,', b'"text":"",', b'"rate":1e400,', "é🤟\u202e".encode(),
    b" " * 3000, b"a" * 20_000,
]  # fmt: skip
_CHECKS = {name: Draft7Validator(body) for name, body in schema.COMMANDS.items()}
_ANSWER = Draft7Validator(schema.ACKNOWLEDGEMENT)


def check(payload: bytes) -> bool:
    """Whether it is a command; asserts that it is a sound one, or a refusal that can be sent."""
    try:
        command = parse(payload, LIMITS)
    except Refused as why:
        answer = answers.encode(answers.refused(why))
        assert len(answer) < 4000, answer
        _ANSWER.validate(json.loads(answer))
        return False
    body = {"command": command.name, **command.fields} | ({"id": command.id} if command.id else {})
    _CHECKS[command.name].validate(body)
    assert command.fields.get("text", "x").strip()
    answers.encode(body)
    return True


def mutate(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(5)):
        at, other = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at:at] = rng.choice(NASTY)
            case 1:
                del data[min(at, other) : max(at, other)]
            case 2:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                data[at:] = rng.choice(SEEDS)[other:]
            case _:
                data[at:at] = data[min(at, other) : max(at, other)]
    return bytes(data)


def fuzz(inputs: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    commands = crashes = hangs = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(inputs):
        payload, began_s = mutate(rng), time.perf_counter()
        try:
            commands += check(payload)
        except Exception:
            crashes += 1
            print(payload[:300], traceback.format_exc(), flush=True)
        hangs += time.perf_counter() - began_s > HANG_S
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "fuzz": "kiosk commands", "inputs": inputs, "seed": seed, "commands": commands,
        "refusals": inputs - commands - crashes, "crashes": crashes, "hangs": hangs, "grown_kb": grown,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="fuzz the commands of kiosks")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(json.dumps(fuzz(args.inputs, args.seed)))


if __name__ == "__main__":
    main()
