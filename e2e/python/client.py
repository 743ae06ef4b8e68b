"""Python's `websockets` against Moorline in front of app.mjs: `client.py WS_URL APP_URL`.

Exits 0 when everything held.
"""

import asyncio
import json
import sys
import urllib.request

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode

BASE, APP = sys.argv[1:]
SIGNED_IN = {"Authorization": "Bearer good"}


def session(room="lobby", **options):
    return connect(f"{BASE}/{room}", additional_headers=SIGNED_IN, **options)


async def a_client_that_is_not_signed_in_gets_the_answer_of_the_app():
    try:
        async with connect(f"{BASE}/lobby"):
            raise AssertionError("accepted")
    except InvalidStatus as refused:
        assert refused.response.status_code == 401
        assert refused.response.headers["WWW-Authenticate"] == "Bearer"
        assert refused.response.body == b"who are you?"


async def the_first_of_the_offered_subprotocols_of_the_route_is_taken():
    async with session(subprotocols=["orders.v1", "orders.v2"]) as socket:
        assert socket.subprotocol == "orders.v2", socket.subprotocol


async def text_and_binary_come_back_as_they_went():
    async with session() as socket:
        for message in ['{"n": 1.50}', "caf\u00e9 \U0001f6a2", b"\x00\xff\r\n", "x" * 900_000]:
            await socket.send(message)
            assert await socket.recv() == message


async def fragments_are_one_message():
    async with session() as socket:
        await socket.send(["one ", "two ", "three"])
        assert await socket.recv() == "one two three"


async def a_keep_alive_shorter_than_one_call_survives_it():
    async with session(ping_interval=0.2, ping_timeout=0.5) as socket:
        await socket.send('{"action":"slow"}')
        assert await socket.recv() == "at last"
        assert socket.latency > 0


async def messages_are_answered_in_order():
    async with session() as socket:
        sending = asyncio.create_task(send_all(socket))
        for number in range(500):
            assert await socket.recv() == str(number)
        await sending


async def send_all(socket):
    for number in range(500):
        await socket.send(str(number))


async def the_app_pushes_to_a_room():
    async with session("py") as ann, session("py") as bob:
        await ann.send(json.dumps({"action": "shout", "text": "hi"}))
        heard = await asyncio.gather(ann.recv(), bob.recv())
        assert [json.loads(message)["shout"] for message in heard] == ["hi", "hi"]


async def a_message_over_the_limit_is_closed_with_1009():
    async with session() as socket:
        try:
            await socket.send("x" * 1_048_577)
            await socket.recv()
            raise AssertionError("accepted")
        except ConnectionClosed as closed:
            assert closed.rcvd.code == CloseCode.MESSAGE_TOO_BIG, closed


async def the_app_closes_with_its_own_code():
    async with session() as socket:
        await socket.send('{"action":"leave"}')
        try:
            await socket.recv()
            raise AssertionError("still open")
        except ConnectionClosed as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "see you")


async def the_app_hears_the_clients_code():
    async with session() as socket:
        await socket.close(4500, "done")
    while not any(entry["code"] == 4500 and entry["user"] == "ann" for entry in gone()):
        await asyncio.sleep(0)


def gone():
    with urllib.request.urlopen(f"{APP}/gone") as answer:
        return json.load(answer)


CHECKS = [
    a_client_that_is_not_signed_in_gets_the_answer_of_the_app,
    the_first_of_the_offered_subprotocols_of_the_route_is_taken,
    text_and_binary_come_back_as_they_went,
    fragments_are_one_message,
    a_keep_alive_shorter_than_one_call_survives_it,
    messages_are_answered_in_order,
    the_app_pushes_to_a_room,
    a_message_over_the_limit_is_closed_with_1009,
    the_app_closes_with_its_own_code,
    the_app_hears_the_clients_code,
]


async def main():
    for check in CHECKS:
        async with asyncio.timeout(30):
            await check()
        print("ok", check.__name__.replace("_", " "), flush=True)


asyncio.run(main())
