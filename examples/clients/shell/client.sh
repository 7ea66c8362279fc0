#!/bin/sh
# A client of satgas in the shell: hands in a visit, watches an evaluation, follows the log.
#
#     client.sh submit AREA SCHOOL ID        prints `accepted POSITION` or `already known POSITION`
#     client.sh watch AREA PERIOD COUNT      prints `stands ...`, then `changed ... at POSITION`, until COUNT changes were seen
#     client.sh follow AREA AFTER COUNT      prints `event POSITION KIND` for COUNT events after a position, each once
#
# `submit` and `watch` make calls with `buf curl`, which asks the server's reflection what messages look like; `grpcurl` does it the same
# way (grpcurl -expand-headers -H 'authorization: Bearer ${TOKEN}' ...). `follow` uses the command line of satgas, which connects again by itself.
# The server is $SATGAS_SERVER_URL, the token stands in the file $SATGAS_TOKEN_FILE; $BUF and $SATGAS name the two programs.
set -eu

server=${SATGAS_SERVER_URL:-http://127.0.0.1:5371}
buf=${BUF:-buf}
satgas=${SATGAS:-satgas}
ATTEMPTS_MAX=8

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# In a file that nobody else reads: every user of the machine can read the arguments of a command.
umask 077
printf 'authorization: Bearer %s\n' "$(cat "$SATGAS_TOKEN_FILE")" >"$work/headers"

# call METHOD JSON: prints the answer. The exit code is eight times the gRPC code.
call() {
    "$buf" curl --protocol grpc --connect-timeout 5 -H "@$work/headers" -d "$2" "$server/satgas.v1.$1"
}

# field NAME: the first value of that name, and quotes left out.
field() {
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\).*/\1/p" | head -n 1
}

# submit AREA SCHOOL ID. The id is made before the first attempt and kept: sent again, the visit is recorded once.
submit() {
    visit='"schoolVisit":{"schoolId":"'$2'","purpose":"VISIT_PURPOSE_SOSIALISASI","topics":["TOPIC_KSBE"],"reach":{"pupilsFemale":12,"pupilsMale":15}}'
    # The time in the id, so that the same id always comes with the same content.
    made_s=$((0x$(printf %s "$3" | tr -d - | cut -c 1-12) / 1000))
    occurred=$(date -u -d "@$made_s" +%Y-%m-%dT%H:%M:%SZ)
    request='{"submission":{"submissionId":"'$3'","deviceId":"contoh-shell","deviceSequence":"1","occurredAt":"'$occurred'","areaCode":"'$1'",'$visit'}}'
    attempt=1
    until call SubmissionService/Submit "$request" >"$work/answer" 2>"$work/refused"; do
        code=$?
        # 14 UNAVAILABLE, 8 RESOURCE_EXHAUSTED, 4 DEADLINE_EXCEEDED: may pass. Others are the caller's to mend.
        case $((code / 8)) in
        14 | 8 | 4) ;;
        *)
            cat "$work/refused" >&2
            exit 1
            ;;
        esac
        [ "$attempt" -lt "$ATTEMPTS_MAX" ] || { cat "$work/refused" >&2; exit 1; }
        sleep "$attempt"
        attempt=$((attempt + 1))
    done
    position=$(field position <"$work/answer")
    case $(field status <"$work/answer") in
    RECEIPT_STATUS_ACCEPTED) echo "accepted $position" ;;
    RECEIPT_STATUS_ALREADY_KNOWN) echo "already known $position" ;;
    *)
        # Rejected, in conflict or quarantined: the answer says which, and which fields.
        cat "$work/answer" >&2
        exit 2
        ;;
    esac
}

# watch AREA PERIOD COUNT
watch() {
    mkfifo "$work/changes"
    # Not in a function: what is to be ended is the program itself.
    "$buf" curl --protocol grpc --connect-timeout 5 -H "@$work/headers" -d '{"areaPrefix":"'"$1"'","period":"'"$2"'"}' \
        "$server/satgas.v1.EvaluationService/WatchEvaluations" >"$work/changes" &
    streaming=$!
    trap 'kill "$streaming" 2>/dev/null || :; rm -rf "$work"' EXIT
    seen=0 area='' visits=0
    # The answers are pretty-printed, one after the other; a line that is `}` alone ends one.
    while IFS= read -r line; do
        case $line in
        *'"areaCode": '*) area=$(printf '%s\n' "$line" | field areaCode) ;;
        *'"visits": '*) visits=$(printf '%s\n' "$line" | field visits) ;;
        *'"causePosition": '*) cause=$(printf '%s\n' "$line" | field causePosition) ;;
        '}')
            if [ -z "$area" ]; then
                : # a heartbeat
            elif [ -z "${cause:-}" ]; then
                echo "stands $area visits $visits"
            else
                echo "changed $area visits $visits at $cause"
                seen=$((seen + 1))
                [ "$seen" -lt "$3" ] || return 0
            fi
            area='' visits=0 cause=''
            ;;
        esac
    done <"$work/changes"
    echo "the stream ended: watch again, it begins with how the evaluation stands" >&2
    return 1
}

# follow AREA AFTER COUNT. The last position is all that must be kept for going on where one was.
follow() {
    "$satgas" --server "$server" events --follow --area "$1" --after "$2" --count "$3" --format jsonl |
        sed -u -n 's/^{"position":"\([0-9]*\)",[^{]*"kind":"\([A-Z_]*\)".*/event \1 \2/p'
}

case "${1:-} $#" in
'submit 4') submit "$2" "$3" "$4" ;;
'watch 4') watch "$2" "$3" "$4" ;;
'follow 4') follow "$2" "$3" "$4" ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 64
    ;;
esac
