#!/usr/bin/env bash
# Exits with 0 when the server on this machine is ready (GET /readyz is 200), else with 1. Needs bash alone: the
# container image has no curl. Plain HTTP only.
#
# usage: check_ready.sh      the port is $PORT, 3000 by default
set -u

exec 3<>"/dev/tcp/127.0.0.1/${PORT:-3000}" || exit 1
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3
[[ ${status:-} == 200 ]]
