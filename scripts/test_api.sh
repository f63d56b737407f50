#!/usr/bin/env bash
# Calls every REST route of a running server with curl and checks status and fields of each answer.
# Needs bash and curl. Makes one account and one room with random names; safe to repeat.
#
# usage: scripts/test_api.sh [BASE_URL]      default http://localhost:3000
# exit:  0 when every answer was right, 1 when one was wrong, 2 when the server cannot be reached
set -uo pipefail

base=${1:-http://localhost:3000}
base=${base%/}
case $base in
    -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac

passed=0
failed=0
token=
status=
body=
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

# call METHOD PATH [curl arguments]: sets status, body and the file of headers. Sends the token when there is one.
call() {
    local method=$1 path=$2 answer
    shift 2
    local arguments=(--silent --show-error --max-time 20 --request "$method" --dump-header "$headers" --write-out '\n%{http_code}')
    [[ $method == HEAD ]] && arguments+=(--head)
    [[ -n $token ]] && arguments+=(--header "Authorization: Bearer $token")
    if ! answer=$(curl "${arguments[@]}" "$@" "$base$path"); then
        echo "cannot reach $base" >&2
        exit 2
    fi
    call_name="$method $path"
    status=${answer##*$'\n'}
    body=${answer%$'\n'*}
}

# call_json METHOD PATH JSON
call_json() {
    call "$1" "$2" --header 'Content-Type: application/json' --data-binary "$3"
}

# expect STATUS [REGEX...]: each extended regular expression must match the body.
expect() {
    local wanted=$1 problem='' pattern
    shift
    [[ $status == "$wanted" ]] || problem="status $status instead of $wanted"
    for pattern in "$@"; do
        [[ $body =~ $pattern ]] || problem="${problem:+$problem; }nothing matches $pattern"
    done
    report "$call_name -> $wanted" "$problem"
}

# expect_header REGEX: a header line must match; names in lower case.
expect_header() {
    local problem=''
    tr '[:upper:]' '[:lower:]' <"$headers" | tr -d '\r' | grep -Eq "$1" || problem="no header matches $1"
    report "$call_name has $1" "$problem"
}

report() {
    if [[ -z $2 ]]; then
        passed=$((passed + 1))
        echo "ok   $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1: $2"
        echo "     ${body:0:500}"
    fi
}

# field NAME: the first string or number of that name in the body.
field() {
    [[ $body =~ \"$1\":(\"([^\"]*)\"|([0-9]+)) ]] && echo "${BASH_REMATCH[2]}${BASH_REMATCH[3]}"
}

repeat() {
    local text
    printf -v text '%*s' "$2" ''
    echo "${text// /$1}"
}

time_pattern='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z'
unique="$(date +%s)-$$-$RANDOM"
email="api-$unique@example.com"

echo "# system"
call GET /healthz
expect 200 '^\{"status":"ok"'
call HEAD /healthz
expect 200
call GET /readyz
expect 200 '"status":"ready"' '"database":true' '"message_log":true'
call GET /metrics
expect 200 'chat_connections [0-9]+' 'chat_message_log_committed_total [0-9]+'
call GET /openapi.json
expect 200 '"openapi": ?"3\.1' '"/rooms/\{id\}/messages"'
call GET /
expect 200 '^<!doctype html>'
expect_header '^content-security-policy: '
call GET /nothing-here
expect 404 '"code":"not_found"'
expect_header '^content-type: application/problem\+json'
call PUT /rooms
expect 405 '"code":"method_not_allowed"'
expect_header '^allow: get, head, post, options'
call OPTIONS /rooms
expect 204
call GET /ws
expect 426 '"code":"upgrade_required"'

echo "# accounts"
call_json POST /auth/register "{\"email\":\"$email\",\"password\":\"pass123\",\"username\":\"Api\"}"
expect 201 '"token":"[^"]+\.[^"]+\.[^"]+"' "\"expires_at\":\"$time_pattern\"" '"id":[0-9]+' "\"email\":\"$email\"" '"username":"Api"' \
    "\"created_at\":\"$time_pattern\""
expect_header '^cache-control: no-store'
user=$(field id)
call_json POST /auth/register "{\"email\":\"${email^^}\",\"password\":\"pass123\",\"username\":\"Api\"}"
expect 409 '"code":"email_taken"' '"status":409'
call_json POST /auth/register '{"email":"nobody","password":"pass123","username":"Api"}'
expect 400 '"code":"bad_field"' '"field":"email"' '"reason":"invalid"'
call_json POST /auth/register "{\"email\":\"x$email\",\"password\":\"short\",\"username\":\"Api\"}"
expect 400 '"code":"bad_field"' '"field":"password"' '"reason":"too_short"'
call_json POST /auth/register "{\"email\":\"x$email\",\"password\":\"pass123\"}"
expect 400 '"code":"bad_field"' '"field":"username"' '"reason":"required"'
call_json POST /auth/register '{"email":'
expect 400 '"code":"bad_json"'
call_json POST /auth/login "{\"email\":\"$email\",\"password\":\"wrong!\"}"
expect 401 '"code":"bad_credentials"'
call_json POST /auth/login "{\"email\":\"unknown-$email\",\"password\":\"pass123\"}"
expect 401 '"code":"bad_credentials"'
call_json POST /auth/login "{\"email\":\"$email\",\"password\":\"pass123\"}"
expect 200 '"token":"[^"]+"' "\"id\":${user}[,}]"
fresh=$(field token)
call GET /auth/me
expect 401 '"code":"missing_token"'
expect_header '^www-authenticate: bearer'
token="$fresh.x"
call GET /auth/me
expect 401 '"code":"bad_token"'
token=$fresh
call GET /auth/me
expect 200 "\"id\":$user," "\"email\":\"$email\""

echo "# rooms"
call GET /rooms
expect 200 '^\['
call_json POST /rooms "{\"name\":\"Room $unique\"}"
expect 201 '"id":[0-9]+' "\"name\":\"Room $unique\"" '"last_seq":0' '"online":0' "\"created_at\":\"$time_pattern\""
room=$(field id)
expect_header "^location: /rooms/$room"
call_json POST /rooms '{"name":" "}'
expect 400 '"field":"name"' '"reason":"required"'
call GET /rooms
expect 200 "\"id\":$room,\"name\":\"Room $unique\""
call GET "/rooms/$room"
expect 200 "\"id\":$room,"
for unknown in 999999999 0 -1 99999999999999999999 one; do
    call GET "/rooms/$unknown"
    expect 404 '"code":"no_such_room"'
done

echo "# members"
call GET "/rooms/$room/members"
expect 200 '^\[\]$'
call POST "/rooms/$room/members"
expect 204 '^$'
call GET "/rooms/$room/members"
expect 200 "\"user_id\":$user,\"username\":\"Api\",\"joined_at\":\"$time_pattern\""
call DELETE "/rooms/$room/members"
expect 204 '^$'
call GET "/rooms/$room/members"
expect 200 '^\[\]$'
call POST /rooms/999999999/members
expect 404 '"code":"no_such_room"'

echo "# messages"
call_json POST "/rooms/$room/messages" '{"content":"one","nonce":"n-1"}'
expect 201 '"type":"message"' "\"room_id\":$room," '"seq":1,' '"id":[0-9]+' "\"sender_id\":$user," '"username":"Api"' '"content":"one"' \
    '"nonce":"n-1"' "\"created_at\":\"$time_pattern\""
first=$(field id)
call_json POST "/rooms/$room/messages" '{"content":"one","nonce":"n-1"}'
expect 201 '"seq":1,' "\"id\":$first," '"duplicate":true'
call_json POST "/rooms/$room/messages" '{"content":"zwei \u00e9 \ud83d\ude00"}'
expect 201 '"seq":2,'
call_json POST "/rooms/$room/messages" '{"content":"three"}'
expect 201 '"seq":3,'
call GET "/rooms/$room/messages"
expect 200 '"seq":1,.*"seq":2,.*"seq":3,' '"has_more":false' '"epoch":[0-9]+'
call GET "/rooms/$room/messages?limit=2"
expect 200 '^\{"messages":\[\{[^}]*"seq":2,.*"seq":3,' '"has_more":true'
call GET "/rooms/$room/messages?before=3&limit=1"
expect 200 '^\{"messages":\[\{[^}]*"seq":2,[^}]*\}\]' '"has_more":true'
call GET "/rooms/$room/messages?after=2"
expect 200 '^\{"messages":\[\{[^}]*"seq":3,[^}]*\}\]' '"has_more":false'
for query in limit=0 limit=201 limit=x before=-1 'before=2&after=1'; do
    call GET "/rooms/$room/messages?$query"
    expect 400 '"code":"bad_parameter"'
done
call_json POST "/rooms/$room/messages" '{"content":""}'
expect 400 '"field":"content"' '"reason":"required"'
call_json POST "/rooms/$room/messages" "{\"content\":\"$(repeat a 4001)\"}"
expect 400 '"field":"content"' '"reason":"too_long"'
call_json POST "/rooms/$room/messages" '{"content":"a\u0000b"}'
expect 400 '"field":"content"' '"reason":"invalid"'
call_json POST "/rooms/$room/messages" '{"content":7}'
expect 400 '"code":"bad_json"'
call_json POST "/rooms/$room/messages" '{"content":"x","nonce":""}'
expect 400 '"field":"nonce"' '"reason":"invalid"'
call_json POST /rooms/999999999/messages '{"content":"x"}'
expect 404 '"code":"no_such_room"'
call_json POST "/rooms/$room/messages" "{\"content\":\"$(repeat a 70000)\"}"
expect 413 '"code":"bad_request"'

echo
echo "$passed passed, $failed failed"
[[ $failed == 0 ]]
