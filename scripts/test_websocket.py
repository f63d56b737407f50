#!/usr/bin/env python3
"""Tries the WebSocket side of a running server: send, receive, ack, resend, ping, history, resume.

usage: scripts/test_websocket.py TOKEN ROOM [--url ws://localhost:3000]
       scripts/test_websocket.py TOKEN ROOM --chat        chat from the terminal; Ctrl-D ends

Needs Python 3.9 and the package websockets (10.4 or later: apt-get install python3-websockets, or pip install websockets).
Exit code: 0 when all went as documented, 1 when something did not, 2 when the server cannot be reached.
"""

import argparse
import asyncio
import json
import sys
import uuid

try:
    import websockets
except ImportError:
    sys.exit("The Python package websockets is missing: apt-get install python3-websockets, or pip install websockets.")

EVENT_TIMEOUT_S = 10


class Failure(Exception):
    """The server did something else than documented."""


def check(condition, what):
    if not condition:
        raise Failure(what)
    print(f"ok   {what}")


class Client:
    """One connection; events are dictionaries."""

    def __init__(self, url, token, room, resume=""):
        # The token goes as a subprotocol, which keeps it out of URLs and so out of the logs of proxies.
        self._connecting = websockets.connect(f"{url}/ws/{room}{resume}", subprotocols=["chat.v1", f"bearer.{token}"])
        self.socket = None

    async def __aenter__(self):
        self.socket = await self._connecting.__aenter__()
        return self

    async def __aexit__(self, *error):
        return await self._connecting.__aexit__(*error)

    async def send(self, **command):
        await self.socket.send(json.dumps(command))

    async def receive(self):
        return json.loads(await asyncio.wait_for(self.socket.recv(), EVENT_TIMEOUT_S))

    async def receive_until(self, event_type):
        """The next event of a type, whatever comes before it: other people may be talking in the room."""
        while True:
            event = await self.receive()
            if event["type"] == event_type:
                return event


async def receive_both(client, nonce):
    """The ack and the message of a nonce; they are independent and come in either order."""
    found = {}
    while len(found) < 2:
        event = await client.receive()
        if event["type"] == "error":
            raise Failure(f"the server answered {event}")
        if event.get("nonce") == nonce:
            found[event["type"]] = event
    return found["message"], found["ack"]


async def test(url, token, room):
    content = "héllo \U0001f600 <b>&\"\\"
    nonce = uuid.uuid4().hex
    async with Client(url, token, room) as client:
        check(client.socket.subprotocol == "chat.v1", "the subprotocol chat.v1 is confirmed, the token is not echoed")
        welcome = await client.receive()
        check(welcome["type"] == "welcome" and welcome["room_id"] == room, "welcome comes first and names the room")
        check(welcome["seq"] >= 0 and welcome["epoch"] >= 1 and welcome["ping_ms"] > 0, "welcome has seq, epoch and ping_ms")

        await client.send(type="message", content=content, nonce=nonce)
        message, ack = await receive_both(client, nonce)
        check(message["content"] == content, "the sender receives its own message, unharmed")
        check(message["sender_id"] == welcome["user"]["id"], "the message names its sender")
        check(message["seq"] > welcome["seq"], "its seq is above the welcome's")
        check((ack["seq"], ack["id"]) == (message["seq"], message["id"]), "the ack has the message's seq and id")

        await client.send(type="message", content=content, nonce=nonce)
        ack = await client.receive_until("ack")
        check(ack.get("duplicate") is True and ack["seq"] == message["seq"], "a resend with the same nonce gets the original's ack")

        await client.send(type="ping")
        pong = await client.receive_until("pong")
        check(pong["seq"] >= message["seq"], "pong has the room's head")
        await asyncio.wait_for(await client.socket.ping(), EVENT_TIMEOUT_S)
        check(True, "a ping frame is answered by a pong frame")

        await client.send(type="message", content="", nonce="empty")
        error = await client.receive_until("error")
        check(error["code"] == "bad_field" and error["nonce"] == "empty", "empty content is refused with bad_field and the nonce")
        await client.socket.send("{")
        error = await client.receive_until("error")
        check(error["code"] == "bad_json", "malformed JSON is refused with bad_json, and the connection stays")

    resume = f"?since={message['seq'] - 1}&epoch={welcome['epoch']}"
    async with Client(url, token, room, resume) as client:
        welcome = await client.receive()
        check(welcome["recovered"] is True and welcome["rolled_back_to"] is None, "resume with since and epoch recovers")
        replayed = await client.receive()
        check(replayed == message, "what was missed is replayed as it was")

    await refuse(url, "no.such.token", room, 401, "a bad token is refused with 401 before the upgrade")
    await refuse(url, token, 999999999, 404, "an unknown room is refused with 404 before the upgrade")


async def refuse(url, token, room, status, what):
    try:
        async with Client(url, token, room):
            raise Failure(f"not refused: {what}")
    except websockets.InvalidHandshake as error:
        # InvalidStatusCode.status_code up to version 13 and in its legacy client, InvalidStatus.response.status_code since.
        response = getattr(error, "response", None)
        check((response.status_code if response else getattr(error, "status_code", None)) == status, what)


async def chat(url, token, room):
    async with Client(url, token, room, "?since=0") as client:

        async def show():
            async for text in client.socket:
                event = json.loads(text)
                if event["type"] == "message":
                    print(f"{event['seq']:>5} {event['username']}: {event['content']}")
                elif event["type"] == "welcome":
                    print(f"--- room {event['room_id']} as {event['user']['username']}; type and press Enter")
                elif event["type"] == "error":
                    print(f"--- {event['code']}: {event['message']}")

        shown = asyncio.ensure_future(show())
        while not shown.done():
            line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            if not line:
                break
            if line.strip():
                await client.send(type="message", content=line.rstrip("\n"), nonce=uuid.uuid4().hex)
        await asyncio.sleep(0.2)  # The last line's echo.
        shown.cancel()


def main():
    parser = argparse.ArgumentParser(description="Tries the WebSocket side of a running chat server.")
    parser.add_argument("token", metavar="TOKEN")
    parser.add_argument("room", metavar="ROOM", type=int)
    parser.add_argument("--url", default="ws://localhost:3000", help="default: %(default)s")
    parser.add_argument("--chat", action="store_true", help="chat from the terminal instead of testing")
    arguments = parser.parse_args()
    run = chat if arguments.chat else test
    try:
        asyncio.run(run(arguments.url.rstrip("/"), arguments.token, arguments.room))
    except Failure as failure:
        print(f"FAIL {failure}")
        return 1
    except asyncio.TimeoutError:
        print(f"FAIL no event within {EVENT_TIMEOUT_S} s")
        return 1
    except (OSError, websockets.WebSocketException) as error:
        print(f"cannot talk to {arguments.url}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
