"""A broker in a process of its own: `python broker.py PORT` prints `up` when it listens. It speaks MQTT 3.1.1."""

import asyncio
import sys

from amqtt.broker import Broker


async def serve(port: int) -> None:
    anyone = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": anyone})
    await broker.start()
    print("up", flush=True)
    await asyncio.Event().wait()


asyncio.run(serve(int(sys.argv[1])))
