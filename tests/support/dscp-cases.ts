/**
 * The DSCP of connections as it is on the wire: scripts for `runDaemonCase`, which need root to listen on the loopback device.
 * `sniff LABEL:PORT...` writes a line "LABEL TOS" into the file `wire` for each kind of TCP segment that is new; a
 * label names what comes from our side: from that port, or to it if a `>` stands before the port.
 */
const preamble = `
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sniff() {
  python3 - "$@" <<'END' >>wire &
import signal, socket, sys, threading, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)); raw.bind(('lo', 0))
ports = {arg.split(':')[1]: arg.split(':')[0] for arg in sys.argv[1:]}
seen = set()
signal.signal(signal.SIGUSR1, lambda *_: seen.clear())
def talk(peer):
    try:
        while True: peer.send(b'{"id":1,"method":"echo","params":[]}'); peer.recv(4096) or exit(); time.sleep(0.05)
    except OSError: pass
    finally: peer.close()
def serve(port):
    listener = socket.socket(); listener.bind(('127.0.0.1', port)); listener.listen()
    while True:
        peer = listener.accept()[0]; open('accepted', 'a').write('1\\n')
        threading.Thread(target=talk, args=(peer,), daemon=True).start()
for port in ports:
    if port[0] == '>': threading.Thread(target=serve, args=(int(port[1:]),), daemon=True).start()
open('ready', 'w')
while True:
    ip = raw.recv(65536)
    if ip[0] >> 4 != 4 or ip[9] != 6: continue
    tcp = ip[(ip[0] & 15) * 4:]
    if tcp[13] & 4: continue
    what = ports.get(str(tcp[0] * 256 + tcp[1])) or ports.get('>%d' % (tcp[2] * 256 + tcp[3]))
    if what and (what, ip[1]) not in seen: seen.add((what, ip[1])); print(what, ip[1], flush=True)
END
  sniffer=$!; waitfor 'test -e ready'
}
`;

const script = (body: string): string => `${preamble}${body}`;

export const dscpCases: Readonly<Record<string, string>> = {
  'remotes of ovsdb-server': script(`
    a=$(free) b=$(free) c=$(free); sniff command-line:$a manager:$b active:'>'$c
    start --pidfile --log-file=log --remote=ptcp:$a:127.0.0.1 --remote=db:Open_vSwitch,Open_vSwitch,manager_options
    ovs-vsctl --no-wait init; waitfor "ovsdb-client list-dbs tcp:127.0.0.1:$a"
    for dscp in none 10 0 64 x; do
      : >wire; kill -USR1 $sniffer
      case $dscp in none) config=;; *) config=other_config:dscp=$dscp;; esac
      ovs-vsctl --no-wait -- --id=@a create Manager target='"ptcp:'$b':127.0.0.1"' $config \\
        -- --id=@b create Manager target='"tcp:127.0.0.1:'$c'"' $config -- set Open_vSwitch . manager_options=@a,@b >/dev/null
      waitfor "ovsdb-client list-dbs tcp:127.0.0.1:$b && ovsdb-client list-dbs tcp:127.0.0.1:$a && grep active wire"; echo "$dscp"; sort -u wire
      ovs-vsctl --no-wait del-manager; waitfor '! ss -tnH | grep -q -e ":$b " -e ":$c "'
    done
    ctl exit; wait $child; kill $sniffer`),
  'controllers of ovs-vswitchd': script(`
    a=$(free) b=$(free); sniff active:'>'$a passive:$b
    start --pidfile; ovs-vsctl --no-wait init
    ovs-vswitchd -vconsole:off --enable-dummy --pidfile & switch=$!; waitfor 'ovs-appctl version'
    for dscp in none 10 0 64 x; do
      : >wire; kill -USR1 $sniffer
      ovs-vsctl -- add-br br0 -- set Bridge br0 datapath_type=dummy -- --id=@a create Controller target='"tcp:127.0.0.1:'$a'"' other_config:dscp=$dscp \\
        -- --id=@b create Controller target='"ptcp:'$b':127.0.0.1"' other_config:dscp=$dscp -- set Bridge br0 controller=@a,@b >/dev/null
      waitfor 'ovs-ofctl show tcp:127.0.0.1:$b; grep active wire'; echo "$dscp"; sort -u wire
      ovs-vsctl del-br br0; waitfor '! ss -tnH | grep -q -e ":$a " -e ":$b "'
    done
    ovs-appctl exit; wait $switch; ctl exit; wait $child; kill $sniffer`),
};
