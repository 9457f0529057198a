"""What a user of python3-openvswitch's IDL does: reads, writes, waits for changes, locks, asks for a part of a table.

Usage: python-idl.py REMOTE SCHEMA-FILE. Prints one line a step; exits with 1 at what goes wrong.
"""
import sys

import ovs.db.idl
import ovs.poller

remote, schema = sys.argv[1:3]


def connect(tables, lock=None):
    helper = ovs.db.idl.SchemaHelper(location=schema)
    for table, columns in tables.items():
        helper.register_columns(table, columns)
    idl = ovs.db.idl.Idl(remote, helper, leader_only=False)
    if lock is not None:
        idl.set_lock(lock)
    return idl


def until(what, condition, *idls):
    """Runs the IDLs until the condition holds."""
    poller_limit_ms = 30000
    while not condition():
        changed = False
        for idl in idls:
            changed = idl.run() or changed
        if condition():
            break
        if not changed:
            poller = ovs.poller.Poller()
            for idl in idls:
                idl.wait(poller)
            poller.timer_wait(poller_limit_ms)
            poller.block()
    print("ok", what)


def commit(idl, change, expected="success"):
    while True:
        txn = ovs.db.idl.Transaction(idl)
        row = change(txn)
        status = txn.commit_block()
        if status != "try again":
            break
    names = {value: name for name, value in vars(ovs.db.idl.Transaction).items() if isinstance(value, str)}
    print("ok" if status == expected else "FAILED", names.get(status, status), txn.get_error() or "")
    if status != expected:
        sys.exit(1)
    return txn.get_insert_uuid(row.uuid) if row is not None else None


columns = {
    "Open_vSwitch": ["bridges", "next_cfg", "external_ids"],
    "Bridge": ["name", "ports", "other_config", "flood_vlans", "fail_mode"],
    "Port": ["name", "interfaces", "tag"],
    "Interface": ["name", "type"],
}
idl = connect(columns)
until("contents", lambda: len(idl.tables["Open_vSwitch"].rows) == 1, idl)
root = next(iter(idl.tables["Open_vSwitch"].rows.values()))


def add_bridge(txn):
    interface = txn.insert(idl.tables["Interface"])
    interface.name, interface.type = "br0", "internal"
    port = txn.insert(idl.tables["Port"])
    port.name, port.interfaces = "br0", [interface]
    bridge = txn.insert(idl.tables["Bridge"])
    bridge.name, bridge.ports = "br0", [port]
    bridge.other_config = {"a": "1", "b": "2"}
    bridge.flood_vlans = [3, 1, 2]
    root.addvalue("bridges", bridge)
    root.setkey("external_ids", "made-by", "python")
    return bridge


uuid = commit(idl, add_bridge)
bridge = idl.tables["Bridge"].rows[uuid]
print(bridge.name, sorted(bridge.other_config.items()), bridge.flood_vlans, bridge.ports[0].interfaces[0].type)


def change_bridge(txn):
    bridge.setkey("other_config", "a", "9")
    bridge.delkey("other_config", "b")
    bridge.addvalue("flood_vlans", 7)
    bridge.delvalue("flood_vlans", 1)
    bridge.fail_mode = "secure"
    root.increment("next_cfg")


commit(idl, change_bridge)
print(sorted(bridge.other_config.items()), sorted(bridge.flood_vlans), bridge.fail_mode, root.next_cfg)

other = connect(columns, lock="python")
until("lock", lambda: other.has_lock and len(other.tables["Bridge"].rows) == 1, other, idl)
third = connect({"Bridge": ["name"]}, lock="python")
until("contended lock", lambda: third.is_lock_contended, third)
other.close()
until("lock passed on", lambda: third.has_lock, third)
third.close()

part = connect({"Bridge": ["name", "fail_mode"]})
part.cond_change("Bridge", [["name", "==", "br1"]])
until("no such bridge", lambda: part.change_seqno > 0 and len(part.tables["Bridge"].rows) == 0, part)
part.cond_change("Bridge", [["name", "==", "br0"]])
until("the bridge", lambda: len(part.tables["Bridge"].rows) == 1, part)


def bad_value(txn):
    txn.insert(idl.tables["Port"]).name = "br0"
    root.verify("bridges")
    port = txn.insert(idl.tables["Port"])
    port.name = "br0"
    bridge.addvalue("ports", port)


commit(idl, bad_value, "error")
commit(idl, lambda txn: root.delvalue("bridges", bridge))
until("gone everywhere", lambda: len(part.tables["Bridge"].rows) == 0, part, idl)
print(len(idl.tables["Port"].rows), len(idl.tables["Interface"].rows))
