/**
 * Clients that listen for their server: scripts for `runDaemonCase`. `serve SERVER REMOTE...` starts a server, ours or
 * the stock one, that connects to them; `$port` is free.
 */
const preamble = `
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
serve() {
  server=$1; shift
  $server --remote=punix:db.sock -vconsole:off --pidfile "$@" db & child=$!; waitfor 'ovs-appctl -t ovsdb-server version'
}
finish() { ctl exit >/dev/null; wait $child; }
said() { sed -E "s/^[0-9T:Z-]+\\|[0-9]+\\|//; s/$port/PORT/g; s/[0-9a-f]{8}-[0-9a-f-]{27}/UUID/g"; }
ssl="-p $PWD/key -c $PWD/cert -C $PWD/cert"
`;

/** Connects to a tool that listens, a second time while the first connection is there, and once more after the second. */
const intrude = `
intrude() {
  "$@" >out 2>&1 & tool=$!
  PORT=$port python3 - <<'END'
import os, socket
def connect():
    while True:
        try: return socket.create_connection(('127.0.0.1', int(os.environ['PORT'])))
        except ConnectionRefusedError: pass
def greeting(peer): return b'"method"' in peer.recv(1) + peer.recv(4096)
first = connect(); print('first', greeting(first))
second = connect(); print('second', greeting(second))
while first.recv(4096): pass
def leave(peer):
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(4096): pass
print('first is gone'); leave(second)
while 'closed by peer' not in open('out').read(): pass
third = connect(); print('third', greeting(third)); leave(third)
END
  waitfor 'test $(grep -c "closed by peer" out) = 2'; kill $tool; wait $tool 2>/dev/null; said <out
}
`;

const script = (body: string): string => `${preamble}${body}`;

export const passiveCases: Readonly<Record<string, string>> = {
  'the server connects to tools that listen': script(`
    for server in /usr/sbin/ovsdb-server ovsdb-server; do
      serve $server --remote=tcp:127.0.0.1:$port --remote=unix:tool.sock
      { try ovs-vsctl --db=ptcp:$port:127.0.0.1 --no-wait -- --may-exist add-br br0
        try ovs-vsctl --db=punix:$PWD/tool.sock --no-wait show
        try ovsdb-client dump ptcp:$port:127.0.0.1 Open_vSwitch Bridge name
        try ovsdb-client get-schema-version punix:$PWD/tool.sock Open_vSwitch; } 2>&1 | said
      finish; ls
    done`),
  'over TLS': script(`
    openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -subj /CN=peer -days 2 2>&-
    for server in /usr/sbin/ovsdb-server ovsdb-server; do
      serve $server $ssl --remote=ssl:127.0.0.1:$port
      { try ovs-vsctl $ssl --db=pssl:$port:127.0.0.1 --no-wait list-br
        try ovsdb-client $ssl list-dbs pssl:$port:127.0.0.1; } 2>&1 | said
      finish
    done`),
  'a further connection takes the place of the first': script(`${intrude}
    intrude ovs-vsctl -vconsole:info -vreconnect:console:info --db=ptcp:$port:127.0.0.1 show
    intrude ovsdb-client -vconsole:info wait ptcp:$port:127.0.0.1 Open_vSwitch connected
  `),
  'where they cannot listen': script(`
    python3 -c 'import socket, sys; s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print(flush=True); s.accept()' $port >ready & holder=$!
    waitfor 'test -s ready'
    (ovs-vsctl -vconsole:info -t 5 --db=ptcp:$port:127.0.0.1 show; echo $?) 2>&1 | said | grep -v Called
    (ovs-vsctl -vconsole:info -t 2 --db=punix:/nonexistent/x show; echo $?) 2>&1 | said | grep -v Called
    { try ovsdb-client list-dbs ptcp:$port:127.0.0.1; try ovsdb-client list-dbs punix:/nonexistent/x; } 2>&1 | said
    ovsdb-server --remote=ptcp:$port:127.0.0.1 -vconsole:info --unixctl=ctl --pidfile db 2>errors & child=$!; waitfor 'grep listen errors'
    kill $child; wait $child; grep -E 'bind|listen' errors | said | sort -u; kill $holder`),
  'a switch that listens for its database': script(`
    serve /usr/sbin/ovsdb-server --remote=tcp:127.0.0.1:$port; ovs-vsctl --no-wait init
    ovs-vswitchd --enable-dummy -vconsole:off --pidfile --log-file=log ptcp:$port:127.0.0.1 & switch=$!
    try ovs-vsctl -t 60 add-br br0 -- set Bridge br0 datapath_type=dummy; ovs-vsctl get Interface br0 ofport
    ovs-appctl exit; wait $switch; grep reconnect log | said | cut -d'|' -f3- | grep ptcp; finish`),
};
