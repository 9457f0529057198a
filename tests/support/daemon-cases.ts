import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ownBin = fileURLToPath(new URL('../../bin', import.meta.url));

/**
 * Shell that both kinds run: an empty database `db`, `start ARGS...` for a daemon in the background of
 * the shell, `waitfor CONDITION`, `lines FILE` for a log without times.
 */
const preamble = `
cd "$OVS_RUNDIR"
waitfor() { until eval "$1" >/dev/null 2>&1; do sleep 0.02; done; }
try() { "$@"; echo "status $?"; }
ctl() { try ovs-appctl -t ovsdb-server "$@"; }
start() {
  ovsdb-server --remote=punix:db.sock -vconsole:off "$@" db 2>errors & child=$!
  waitfor 'died $child || ovs-appctl -t "$OVS_RUNDIR/ovsdb-server.$child.ctl" version'
}
lines() { sed -E 's/^[0-9T:.Z-]+\\|[0-9]+\\|//' "$1"; }
trap 'for file in *.pid p; do test -s "$file" && kill -9 "$(cat "$file" 2>/dev/null)" 2>/dev/null; done' EXIT
receive() {
  python3 -c '
import os, select, socket
unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); unix.bind("s")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 0))
open("port.tmp", "w").write(str(udp.getsockname()[1])); os.rename("port.tmp", "port")
text = b""
while b"terminating" not in text:
    for ready in select.select([unix, udp], [], [])[0]:
        text = ready.recv(65536); print("unix" if ready is unix else "udp", repr(text), flush=True)
'
}
parent() { ps -o ppid= "$1" | tr -d ' '; }
died() { kill -0 "$1" 2>/dev/null && return 1; return 0; }
ovsdb-tool create db /usr/share/openvswitch/vswitch.ovsschema
`;

/** What one kind prints for a script. Directory, pids and times are put out of the way. */
export function runDaemonCase(kind: 'ours' | 'stock', script: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'dd-'));
  try {
    const path = `${kind === 'ours' ? `${ownBin}:` : ''}/usr/bin:/bin:/usr/sbin:/sbin`;
    const env = { OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
    const { stdout, stderr } = spawnSync('/bin/sh', ['-c', `{ ${preamble}${script}\n} 2>&1`], {
      encoding: 'utf8',
      env: { ...env, PATH: kind === 'ours' ? `${path}:${process.env['PATH'] ?? ''}` : path, HOME: dir },
      timeout: 400_000,
    });
    return (
      `${stdout}${stderr}`
        .replaceAll(dir, 'DIR')
        // The shell tells of a background job's death, or not, by when it looks.
        .replaceAll(
          /^(?:Terminated|Hangup|Killed|Alarm clock|Interrupt|Segmentation fault)( \(core dumped\))?\n/gm,
          '',
        )
        .replaceAll(/\bpid( file)? \d+/g, 'pid$1 N')
        .replaceAll(/\bserver\.\d+\.ctl/g, 'server.N.ctl')
        .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?/g, 'TIME')
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export const daemonCases: Readonly<Record<string, string>> = {
  'vlog/set refuses what it does not know': `
    start --pidfile
    for spec in foo console:foo 'console file' 'dbg info' 'vlog jsonrpc' PATTERN PATTERN: PATTERN:foo PATTERN:foo:x PATTERN:console \\
        PATTERN:console: FACILITY FACILITY: FACILITY:foo any any:any 'ANY console:DBG' vlog,file,err 'file: :info' ''; do
      echo "$spec:"; ctl vlog/set "$spec"; done
    ctl vlog/set
    ctl vlog/list-pattern
    ctl vlog/set PATTERN:any:x; ctl vlog/set PATTERN:ANY:y; ctl vlog/set PATTERN:file:%m PATTERN:syslog:%c FACILITY:local3
    ctl vlog/list-pattern
    ctl exit`,
  'vlog/list and rate limits': `
    start --pidfile
    ctl vlog/set vlog:console:dbg; ctl vlog/set jsonrpc:off; ctl vlog/set reconnect:file:emer
    ctl vlog/disable-rate-limit jsonrpc; ctl vlog/disable-rate-limit bogus; ctl vlog/enable-rate-limit jsonrpc bogus
    ctl vlog/disable-rate-limit unixctl
    ovs-appctl -t ovsdb-server vlog/list | grep -E '^ |^(vlog|jsonrpc|reconnect|unixctl|daemon_unix|fatal_signal) '
    ctl vlog/disable-rate-limit; ovs-appctl -t ovsdb-server vlog/list | grep -E '^(vlog|jsonrpc) '
    ctl vlog/enable-rate-limit any; ovs-appctl -t ovsdb-server vlog/list | grep -E '^(vlog|jsonrpc) '
    ctl vlog/reopen; ctl vlog/close; ctl vlog/reopen
    ctl vlog/foo; ctl vlog/list x; ctl version x; ctl coverage/read-counter nope; ctl coverage/read-counter
    ctl exit`,
  'log file: opened, closed, reopened; patterns': `
    start --pidfile --log-file=log
    ctl vlog/reopen; mv log old; ctl vlog/reopen; ctl vlog/close; ctl vlog/close; ctl vlog/reopen
    for pattern in '%A|%c|%p|%m' '[%5c][%-8c][%08c][%-08c]%p' '%B %T %t %%|%n|%m' '%d{%Y}%D{%Y} %d{%%}{x} %m{y}' '%q|%z' '%N %3N %03N %-3N|' \\
        '%5t|%-5t|%T|%t{x}|%T{x}' '%m%m' '%P' '%D{no}' '%c{a}' '%d{%F %T.##}' '%E'; do
      ctl vlog/set "PATTERN:file:$pattern"; mv log old; ctl vlog/reopen
      echo "$pattern"; sed -E "s/$(cat ovsdb-server.pid)/PID/; s/20[0-9][0-9]/YYYY/g; s/[0-9-]{5,} [0-9:]+\\.[0-9]+/TIME/" log
    done
    ctl exit`,
  'a log file that cannot be opened': `
    start --pidfile --log-file=/nonexistent/log -vconsole:warn
    cat errors; ctl exit; wait $child; echo $?`,
  'log of start and end': `
    start --pidfile --log-file
    kill $child; wait $child; echo $?
    lines ovsdb-server.log; ls`,
  'log of exit': `
    start --pidfile --log-file; ctl exit; wait $child; echo $?
    lines ovsdb-server.log; ls`,
  signals: `
    for signal in HUP TERM ALRM; do start --pidfile --log-file=log; kill -$signal $child; wait $child; echo $?; done
    lines log; ls`,
  'signals ignored at the start stay ignored': `
    trap '' HUP TERM ALRM; start --pidfile --log-file=log; trap - HUP TERM ALRM
    for signal in HUP INT TERM ALRM; do kill -$signal $child; ctl version >/dev/null; died $child; echo "died $?"; done
    ovs-vsctl --no-wait init; trap '' HUP TERM; ovsdb-client monitor unix:db.sock Open_vSwitch Open_vSwitch >out & client=$!; trap - HUP TERM; waitfor 'test -s out'
    kill -HUP $client; kill -TERM $client; ovs-vsctl --no-wait set Open_vSwitch . other_config:a=b; waitfor 'grep a=b out'
    kill -ALRM $client; wait $client; echo $?
    (trap '' ALRM; ovs-vsctl -vconsole:off -t 1 --db=unix:nope --retry show); echo $?
    ctl exit; wait $child; echo $?; lines log | sed s/.*Open.v.*//`,
  'a monitor leaves ignored signals ignored': `
    trap '' HUP TERM; try ovsdb-server --remote=punix:db.sock --detach --monitor --pidfile --log-file db; trap - HUP TERM
    first=$(cat ovsdb-server.pid); monitor=$(parent $first)
    kill -HUP $monitor; kill -TERM $monitor; kill -HUP $first; kill -TERM $first; ctl version >/dev/null
    kill -SEGV $first; waitfor 'test -e ovsdb-server.pid && test "$(cat ovsdb-server.pid)" != $first && ovs-appctl -t ovsdb-server version'
    kill -TERM $(cat ovsdb-server.pid); ctl version >/dev/null
    ctl exit; waitfor 'died $monitor'; lines ovsdb-server.log | grep -v backtrace | sort; ls`,
  syslog: `
    for how in --syslog-method=unix:$PWD/s "-vFACILITY:daemon --syslog-method=unix:$PWD/s" '-vPATTERN:syslog:%B%E/%m --syslog-target=127.0.0.1' '--syslog-method=udp:127.0.0.1' \\
        '--syslog-method=null --syslog-target=127.0.0.1'; do
      receive >got 2>&1 & receiver=$!; waitfor 'test -s port'
      case $how in *127.0.0.1) how=$how:$(cat port);; esac
      start --pidfile $how -vsyslog:info; kill $child; wait $child; wait $receiver
      sed -E "s/[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8}/DATE/; s/$(hostname)/HOST/g; s/(ovsdb-server )[0-9]+/\\1N/" got; rm -f port s
    done`,
  'ovs-vswitchd: --detach, names of files, exit': `
    start --pidfile; ovs-vsctl --no-wait init
    try ovs-vswitchd -vconsole:off --enable-dummy --detach --pidfile --log-file; ls | sed -E 's/[0-9]+/N/'; ovs-appctl version | head -1
    readlink /proc/$(cat ovs-vswitchd.pid)/cwd; switch=$(cat ovs-vswitchd.pid)
    try ovs-vswitchd --pidfile; try ovs-appctl exit; waitfor 'died $switch'; ls
    lines ovs-vswitchd.log | grep -E '^(vlog|reconnect|fatal_signal|daemon_unix|bridge.INFO.ovs-vswitchd|vswitchd)'
    ovs-vswitchd -vconsole:off --enable-dummy --pidfile & switch=$!; waitfor 'ovs-appctl version'
    try ovs-appctl exit --cleanup; wait $switch; echo $?; ls
    for signal in TERM HUP ALRM; do
      ovs-vswitchd -vconsole:off --enable-dummy --pidfile & switch=$!; waitfor 'ovs-appctl version'
      kill -$signal $switch; wait $switch; echo $?; done; ls; ctl exit`,
  'ovs-vswitchd: the command line': `
    try ovs-vswitchd a b; try ovs-vswitchd --nope; try ovs-vswitchd --pidfile=nodir/p; try ovs-vswitchd --unixctl=nodir/ctl
    try ovs-vswitchd --user=nosuchuser; try ovs-vswitchd -vfoo; try ovs-vswitchd --enable-dummy=nope; try ovs-vswitchd --log-file=/nonexistent/x
    ovs-vswitchd --version | sed '1!d; s/[0-9].*//'`,
  'commands that every daemon has': `
    start --pidfile; ovs-vsctl --no-wait init
    ovs-vswitchd -vconsole:off --enable-dummy --pidfile & switch=$!; waitfor 'ovs-appctl version'
    for target in ovs-vswitchd ovsdb-server; do
      ovs-appctl -t $target list-commands | grep -E '^The|^  (coverage|memory|vlog|version|exit|list-commands)' | grep -v vlog/message
      ovs-appctl -t $target coverage/show | sed -E 's/hash=[0-9a-f]+/hash=H/; s/[0-9]+ events never/N events never/; /total:/d'
      ovs-appctl -t $target coverage/show | grep total: | grep -vE '^[a-z0-9_]+ +[0-9]+\\.[0-9]/sec +[0-9]+\\.[0-9]{3}/sec +[0-9]+\\.[0-9]{4}/sec   total: [0-9]+$'
    done
    ovs-appctl exit; wait $switch; ctl exit; wait $child; ls`,
  'the command line of -v': `
    for v in -vfoo -vconsole:foo -vconsole:file -vPATTERN -vPATTERN:foo:x -vFACILITY:foo -vFACILITY: -vdbg:info --verbose=foo --verbose; do
      echo "$v"; try ovsdb-server "$v" --help >out; grep -v '^20' out | head -1; done
    try ovsdb-server --nope; try ovsdb-server --pidfile=a --user; try ovsdb-server --syslog-method=foo --help | head -1`,
  '--detach: the parent returns when it is ready': `
    try ovsdb-server --remote=punix:db.sock --detach --pidfile --log-file db
    ls; ctl version; cat /proc/$(cat ovsdb-server.pid)/comm | sed s/node/ovsdb-server/; readlink /proc/$(cat ovsdb-server.pid)/cwd
    readlink /proc/$(cat ovsdb-server.pid)/fd/[012]
    ctl exit; waitfor '! test -e ovsdb-server.pid'; lines ovsdb-server.log; ls`,
  '--detach --no-chdir': `
    try ovsdb-server --remote=punix:db.sock --detach --no-chdir --pidfile=$PWD/p --unixctl=$PWD/c db
    readlink /proc/$(cat p)/cwd; try ovs-appctl -t $PWD/c exit; waitfor '! test -e p'; ls`,
  '--detach when it cannot start': `
    try ovsdb-server --remote=punix:db.sock --detach --pidfile --log-file nope
    try ovsdb-server --detach --pidfile --log-file --monitor nope
    lines ovsdb-server.log; ls`,
  'pid files': `
    start --pidfile; other=$child
    try ovsdb-server --remote=punix:db2.sock --unixctl=ctl2 --pidfile db
    try ovsdb-server --remote=punix:db2.sock --unixctl=ctl2 --pidfile --detach db
    kill -9 $other; wait $other 2>/dev/null; ls; ctl version
    start --pidfile; ctl version; ctl exit; wait $child
    echo 99999999 >ovsdb-server.pid; ctl version; ls ovsdb-server.pid; echo junk >ovsdb-server.pid; ctl version
    start --pidfile; ctl exit; wait $child; ls
    try ovsdb-server --remote=punix:x --pidfile=nodir/p db`,
  '--overwrite-pidfile': `
    start --pidfile=p; first=$child; ovsdb-tool create db2 /usr/share/openvswitch/vswitch.ovsschema
    ovsdb-server --remote=punix:x --unixctl=ctl2 --pidfile=p --overwrite-pidfile db2 & second=$!
    waitfor 'ovs-appctl -t "$PWD/ctl2" version'; test $(cat p) = $second; echo "taken $?"
    kill $first; wait $first; ls; kill $second; wait $second; ls`,
  'appctl without a daemon': `
    ctl version; try ovs-appctl -t nope version; try ovs-appctl -t /nope version; try ovs-appctl; try ovs-appctl -t; try ovs-appctl --nope
    touch file; try ovs-appctl -t $PWD/file version; try ovs-appctl -T 0 version; try ovs-appctl -T x version
    ovs-appctl --version | sed '1!d; s/[0-9].*//'; try ovs-appctl --execute foo`,
  'unixctl: names of sockets, errors': `
    ovsdb-server --remote=punix:db.sock --pidfile -vconsole:off db & waitfor 'ovs-appctl -t ovsdb-server version'
    ls; ctl exit now please; ctl nope; ctl list-commands x; ctl memory/show x; ctl exit; wait; ls`,
  '--unixctl=none': `
    ovsdb-server --remote=punix:db.sock --pidfile --unixctl=none -vconsole:off db & child=$!; waitfor 'test -S db.sock'
    ls; kill $child; wait $child; ls`,
  '--monitor starts it again after a crash': `
    try ovsdb-server --remote=punix:db.sock --detach --monitor --pidfile --log-file db
    first=$(cat ovsdb-server.pid); ls
    ps -o args= $(parent $first) | sed -E 's/[0-9]+/N/' | cut -c1-40
    kill -SEGV $first; waitfor 'test -e ovsdb-server.pid && test "$(cat ovsdb-server.pid)" != $first && ovs-appctl -t ovsdb-server version'
    second=$(cat ovsdb-server.pid); monitor=$(parent $second)
    ps -o args= $monitor | sed -E 's/[0-9]+/N/g' | cut -c1-50
    kill $second; waitfor 'died $second && died $monitor'
    lines ovsdb-server.log | grep -v backtrace | sort; ls`,
  '--monitor does not start again after an exit': `
    try ovsdb-server --remote=punix:db.sock --detach --monitor --pidfile --log-file db
    monitor=$(parent $(cat ovsdb-server.pid)); ctl exit; waitfor 'died $monitor'; lines ovsdb-server.log | sort; ls`,
};

/** Need root. */
export const rootCases: Readonly<Record<string, string>> = {
  '--user': `
      for user in nosuchuser :nosuchgroup nobody:nosuchgroup; do try ovsdb-server --remote=punix:x --pidfile --user=$user db; done
      chmod 777 . ; chmod 666 db; rm -f .db.~lock~
      start --pidfile --user=nobody --log-file=log; grep -E '^(Uid|Gid|Groups|CapEff|CapPrm):' /proc/$child/status; ls -ln *.ctl db.sock log | cut -c1-10
      ls -ln *.ctl ovsdb-server.pid | awk '{print $3, $4}'; ctl exit; wait $child; lines log; ls
      try ovsdb-server --remote=punix:x --pidfile --user=nobody:daemon db; try ovsdb-server --remote=punix:x --user=nosuchuser db
  rm -f .db.~lock~ errors; start --pidfile --user=root; grep -E '^(Uid|Gid|CapEff):' /proc/$child/status; ctl exit; wait $child`,
  'a full disk': `
    mkdir disk; mount -t tmpfs -o size=128k full disk; head -c 90000 /dev/zero >disk/filler; big=$(head -c 5000 /dev/zero | tr '\\0' x)
    echo '{"name":"Full","tables":{"T":{"columns":{"n":{"type":"integer"},"text":{"type":"string"}},"isRoot":true}}}' >schema
    ovsdb-tool create disk/db schema
    ovsdb-server --remote=punix:db.sock -vconsole:off --pidfile --log-file=log disk/db & child=$!; waitfor 'ovs-appctl -t ovsdb-server version'
    insert() { ovsdb-client transact unix:db.sock '["Full",{"op":"insert","table":"T","row":{"n":'$1',"text":"'$big'"}}]' | sed 's/"[0-9a-f-]\\{36\\}"/UUID/'; }
    for i in 1 2 3 4 5 6 7 8 9 10; do insert $i; done; ctl ovsdb-server/compact; rm disk/filler; insert 11; ctl ovsdb-server/compact; insert 12
    ctl exit; wait $child; ls -A disk; umount disk
    # The stock server repeats an error until a write succeeds.
    lines log | awk '!seen[$0]++'`,
  '--user with --monitor': `
    owners() { ls -ln *.pid *.ctl db.sock *.log .db.~lock~ 2>/dev/null | awk '{print $1, $3, $4}' | sort; }
    # Our monitor's CapInh and CapAmb hand the capabilities on to the daemon, which stock forks.
    who() { grep -E '^(Uid|Gid|Groups|Cap(Prm|Eff|Bnd)):' /proc/$monitor/status; grep -E '^(Uid|Gid|Groups|Cap...):' /proc/$1/status; owners; }
    chmod 777 . ; chmod 666 db; rm -f .db.~lock~
    for user in nobody root; do
      try ovsdb-server --remote=punix:db.sock --detach --monitor --pidfile --log-file --user=$user db
      first=$(cat ovsdb-server.pid); monitor=$(parent $first); echo "$user"; who $first
      kill -SEGV $first; waitfor 'test -e ovsdb-server.pid && test "$(cat ovsdb-server.pid)" != $first && ovs-appctl -t ovsdb-server version'
      second=$(cat ovsdb-server.pid); test $monitor = $(parent $second); echo "same monitor $?"; who $second
      ctl exit; waitfor 'died $monitor'; ls -A; rm -f .db.~lock~ *.log db.sock
    done
    try ovsdb-server --remote=punix:db.sock --detach --monitor --pidfile=nodir/p --user=nobody db
    start --pidfile; ovs-vsctl --no-wait init; chmod 666 db.sock
    try ovs-vswitchd -vconsole:off --enable-dummy --detach --monitor --pidfile --user=nobody
    first=$(cat ovs-vswitchd.pid); monitor=$(parent $first); who $first
    try ovs-appctl exit; waitfor 'died $monitor'; ctl exit`,
};
