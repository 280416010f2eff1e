#!/bin/sh
# hold-services.sh UNITS NAME...: keeps these services from starting, now and at boot, with a drop-in for each in the directory UNITS.
set -eu
units=$1
shift
for name; do
  directory=$units/$name.service.d
  mkdir -p "$directory"
  printf '%s\n' '# Written by plainkube.cluster, which runs this program in its own service. Remove this file to use this service.' \
    '[Unit]' "ConditionPathExists=!$directory/plainkube.conf" > "$directory/plainkube.conf"
done
