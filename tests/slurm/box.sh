#!/bin/sh
# box.sh install: install its Debian packages, as root.
# box.sh FOLDER: a Slurm 22.05 of two nodes, n1 with one core and n2 with two, with accounting, in this machine.
#
# It prints `ready` once all nodes are up, some three seconds later, and ends with all that ran in it when its input ends.
# `nsenter --target CHILD --net --pid --mount COMMAND` enters it, CHILD being the child of this process. It needs root.
# Everything lives in namespaces of its own: no network but `lo`, its own processes, its own /etc/slurm and /run. Nothing
# else on the machine can reach it, and nothing of it stays but FOLDER, and MariaDB's empty tables for the next start.
set -eu
packages="slurmctld slurmd slurmdbd slurm-client mariadb-server munge"
if [ "$1" = install ]; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a word each
    apt-get update -qq && apt-get install -qq --no-install-recommends $packages
    exit
fi
folder=$(mkdir -p "$1" && cd "$1" && pwd)
tables="${XDG_CACHE_HOME:-$HOME/.cache}/rnnbench/slurm-box"

if [ "${2:-}" != inside ]; then
    missing=""
    for program in slurmctld slurmd slurmdbd sacct mariadbd munged; do
        command -v $program >/dev/null || missing="$missing $program"
    done
    [ -z "$missing" ] || { echo "not installed:$missing (Debian: $packages)" >&2; exit 3; }
    [ "$(id -u)" = 0 ] || { echo "only root may make namespaces" >&2; exit 3; }
    unshare --net --pid --mount --fork --mount-proc true 2>/dev/null || { echo "no namespaces here" >&2; exit 3; }
    exec unshare --net --pid --mount --fork --kill-child --mount-proc "$0" "$folder" inside
fi

settle() { # PROGRAM...: wait until it succeeds, half a minute at most
    end=$(($(date +%s) + 30))
    while [ "$(date +%s)" -lt $end ]; do
        timeout 5 "$@" >/dev/null 2>&1 && return
        sleep 0.05
    done
    echo "not ready: $*" >&2
    for log in "$folder"/*.log; do tail -n 10 "$log" >&2; done
    exit 1
}

ip link set lo up
ip address add 192.0.2.1/32 dev lo # slurmdbd asks for an address that is not the loopback's, and never leaves `lo`
for place in /etc/slurm /run; do mount -t tmpfs box $place; done
mkdir -p /run/munge /run/mysqld "$folder/state" "$folder/spool" "$folder/database" /dev/shm

# who is who: one secret for all of them
head -c 1024 /dev/urandom >/run/munge/key
chmod 700 /run/munge && chmod 600 /run/munge/key
munged --force --key-file=/run/munge/key --log-file=/run/munge/log --pid-file=/run/munge/pid --seed-file=/run/munge/seed

cat >/etc/slurm/slurmdbd.conf <<END
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
StorageType=accounting_storage/mysql
StorageUser=root
StorageLoc=slurm
LogFile=$folder/slurmdbd.log
PidFile=/run/slurmdbd.pid
END
chmod 600 /etc/slurm/slurmdbd.conf
cat >/etc/slurm/slurm.conf <<END
ClusterName=box
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2
SlurmdTimeout=6
KillWait=5
MinJobAge=10
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd-%n.pid
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17001 CPUs=1 Feature=narrow
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17002 CPUs=2 Feature=wide
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60
PartitionName=one Nodes=n1 MaxTime=60
PartitionName=two Nodes=n2 MaxTime=60
END
accounting() { # TABLES
    mariadbd --no-defaults --user=root --datadir="$1" --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/pid \
        --skip-networking --skip-grant-tables --innodb-flush-log-at-trx-commit=0 --innodb-log-file-size=4M \
        --performance-schema=OFF >>"$folder/mariadb.log" 2>&1 &
    settle mariadb --no-defaults -e 'select 1'
    slurmdbd
    settle sacctmgr --noheader show cluster
}
if [ ! -d "$tables" ]; then
    rm -rf "$tables.new" && mkdir -p "$tables.new"
    mariadb-install-db --no-defaults --user=root --datadir="$tables.new" --skip-test-db >/dev/null 2>&1
    accounting "$tables.new"
    sacctmgr --immediate add cluster box >/dev/null
    for name in slurmdbd.pid mysqld/pid; do kill "$(cat /run/$name)"; done
    while pidof slurmdbd mariadbd >/dev/null; do sleep 0.05; done
    mv "$tables.new" "$tables"
fi
cp -a "$tables/." "$folder/database"
accounting "$folder/database"
slurmctld
for node in n1 n2; do slurmd -N $node; done
# shellcheck disable=SC2016  # the inner shell expands it
settle sh -c '[ "$(sinfo --noheader --states=idle --partition=main --format=%D)" = 2 ]'
echo ready
cat >/dev/null # until the input ends
