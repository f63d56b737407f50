#!/usr/bin/env python3
"""Registers a user on a fresh server and makes rooms for a load generator; prints its arguments, one a line.

usage: scripts/compare_setup.py PORT ROOMS

Exit code: 0, or 1 when the server answered otherwise than expected. Needs only Python 3.9.
"""

import http.client
import json
import sys


def call(connection, path, body, token=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status != 201:
        sys.exit(f"POST {path}: {response.status} {answer[:300]!r}")
    return json.loads(answer)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    port, rooms = map(int, sys.argv[1:])
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    account = {"email": "load@example.com", "password": "pass123", "username": "Load"}
    token = call(connection, "/auth/register", account)["token"]
    ids = [call(connection, "/rooms", {"name": f"Load {i}"}, token)["id"] for i in range(rooms)]
    if ids != list(range(ids[0], ids[0] + rooms)):
        sys.exit("The rooms' ids have gaps: the generator counts them up from the first.")
    print("--header", f"Authorization: Bearer {token}", "--room-base", ids[0], sep="\n")


if __name__ == "__main__":
    main()
