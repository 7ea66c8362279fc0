#!/bin/sh
# Makes a folder here with data as a released or former binary writes it: `make.sh BINARY NAME`, NAME being its version or commit. It is made once,
# when a version goes out, and never edited: tests/upgrade.rs opens each of them with the binary of today.
#
# faketime (Debian's package) sets the clock, so that the dates are those that are written below. All of it is invented: DATA CONTOH.
set -eu

satgas=$1
to=$(dirname "$0")/$2
work=$(mktemp -d)
server=
touch "$work/ready"
trap 'if [ -n "$server" ]; then pkill -P "$server" || :; fi; rm -rf "$work"' EXIT
mkdir "$to"
umask 077

export FAKETIME_DONT_FAKE_MONOTONIC=1 TZ=Asia/Makassar
serve() {
    faketime "$1" "$satgas" serve --sample-data --data "$work/data" --listen 127.0.0.1:5399 >"$work/ready" 2>"$work/log" &
    server=$!
    until grep -q 'satgas serves' "$work/ready"; do
        kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    done
}
stop() {
    # faketime waits for the server, whose end is its own.
    pkill -TERM -P "$server"
    wait "$server"
    server=
}
# As whom, then the command.
as() {
    token=$work/$1.token
    shift
    # The present is 2026-04-20 for the client as well.
    faketime '2026-04-20 10:00:00' "$satgas" --server http://127.0.0.1:5399 --token-file "$token" "$@"
}

serve '2026-04-20 09:00:00'
cp "$work/data/keys/operator.token" "$work/operator.token"
as operator token issue --role supervisor --for contoh --subject petugas-1 --to "$work/supervisor.token"
as operator token issue --role case-worker --for contoh --subject petugas-2 --to "$work/worker.token"
as operator token issue --role satgas --area 53.71 --for contoh --to "$work/satgas.token"
as operator token issue --role evaluator --for contoh --to "$work/evaluator.token"

printf '%s\n' code,name,valid_from 53.71,Kota\ Contoh,2024-01-01 53.71.04,Kecamatan\ Contoh,2024-01-01 \
    53.71.04.1001,Kelurahan\ Contoh,2024-01-01 53.71.04.1002,Kelurahan\ Lain,2024-01-01 >"$work/areas.csv"
printf '%s\n' institution_id,name,area_code,valid_from 99900001,SMP\ Contoh\ 01,53.71.04.1001,2024-01-01 \
    99900002,SMP\ Contoh\ 02,53.71.04.1001,2024-01-01 >"$work/schools.csv"
printf '%s\n' task_force_id,area_code,kind,formed_on sg-contoh-1,53.71.04.1001,Satgas\ kelurahan,2025-01-01 >"$work/task-forces.csv"
printf '%s\n' member_id,task_force_id,joined_on,training_topic,training_valid_from,training_valid_until \
    anggota-1,sg-contoh-1,2025-01-01,TOPIC_KSBE,2026-01-01,2027-12-31 anggota-2,sg-contoh-1,2025-01-01,,, >"$work/members.csv"
for kind in areas schools task-forces members; do
    as supervisor registry import "$kind" --file "$work/$kind.csv"
done

record() {
    printf '{"submissionId":"0198c0de-0000-7000-8000-0000000000%02d","deviceId":"hp-1","deviceSequence":"%d","occurredAt":"%s","areaCode":"53.71.04.1001",%s}\n' \
        "$1" "$1" "$2" "$3" >>"$work/records.jsonl"
}
visit='"schoolVisit":{"schoolId":"99900001","purpose":"VISIT_PURPOSE_SOSIALISASI","topics":["TOPIC_KSBE"],"reach":{"pupilsFemale":12,"pupilsMale":15},"followUps":[{"number":1,"action":"Poster kanal pengaduan","dueOn":"2026-03-20"}],"notes":"Catatan contoh"}'
for day in 02 03 04 05 06 09 10 11 12 13; do
    record "${day#0}" "2026-03-${day}T02:00:00Z" "$visit"
done
record 20 2026-04-03T02:00:00Z '"monitoringReport":{"taskForceId":"sg-contoh-1","month":"2026-03","activities":[{"kind":"ACTIVITY_KIND_SOSIALISASI","count":2,"participants":40}],"membersPresent":5,"followUpsDone":[{"visitId":"0198c0de-0000-7000-8000-000000000002","number":1,"doneOn":"2026-03-18"}]}'
record 21 2026-03-07T02:00:00Z '"caseReport":{"violence":["VIOLENCE_SEKSUAL"],"electronic":["ELECTRONIC_VIOLENCE_PEREKAMAN"],"place":"PLACE_DARING","victimAge":"AGE_GROUP_13_17","victimSex":"SEX_PEREMPUAN","offender":"OFFENDER_PACAR_TEMAN"}'
record 22 2026-03-14T02:00:00Z '"amendment":{"correctsId":"0198c0de-0000-7000-8000-000000000003","reason":"Salah sekolah","schoolVisit":{"schoolId":"99900002","purpose":"VISIT_PURPOSE_SOSIALISASI","reach":{"pupilsFemale":30}}}'
record 23 2026-03-14T02:00:00Z '"retraction":{"retractsId":"0198c0de-0000-7000-8000-000000000004","reason":"Tercatat dua kali"}'
# Waits for a record that never came.
record 24 2026-03-14T02:00:00Z '"retraction":{"retractsId":"0198c0de-0000-7000-8000-000000000099","reason":"Tercatat dua kali"}'
as satgas submit --file "$work/records.jsonl"
# Other content under a known id: a conflict.
: >"$work/records.jsonl"
record 5 2026-03-05T02:00:00Z '"schoolVisit":{"schoolId":"99900002","purpose":"VISIT_PURPOSE_SOSIALISASI","reach":{"pupilsFemale":9}}'
as satgas submit --file "$work/records.jsonl" || [ $? = 2 ]

case=0198c0de-0000-7000-8000-000000000021
as worker case assess "$case" --risk tinggi --at '2026-03-07 11:00'
as worker case take "$case"
echo '{"fullName":"Anak Contoh","address":"Jalan Contoh 17"}' | as worker case identity record "$case" --kind victim --file -
as supervisor case hold place "$case" --reason 'Perkara contoh'
stop

# A second start leaves what a stop and a start leave.
serve '2026-04-21 09:00:00'
as supervisor events --format jsonl >"$to/events.jsonl"
# What was known then, however late it is looked at.
head=$(wc -l <"$to/events.jsonl")
as supervisor evaluate --period 2026-03 --as-of "$head" --format json >"$to/evaluation.json"
as supervisor case show "$case" --as-of "$head" --format json >"$to/case.json"
stop
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=2026-04-21 -C "$work" -cz -f "$to/data.tar.gz" data
"$satgas" verify --data "$work/data" --format json >"$to/verified.json"
ls -l "$to"
