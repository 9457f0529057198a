"""What OpenStack's agents do to a switch, by ovsdbapp, their library: `openstack-agent.py REMOTE`."""
import sys

from ovsdbapp.backend.ovs_idl import connection
from ovsdbapp.schema.open_vswitch import impl_idl

idl = connection.OvsdbIdl.from_server(sys.argv[1], "Open_vSwitch")
api = impl_idl.OvsdbIdl(connection.Connection(idl, timeout=60))


def do(command):
    return command.execute(check_error=True)


with api.transaction(check_error=True) as transaction:
    transaction.add(api.add_br("br0", may_exist=True, datapath_type="dummy"))
    transaction.add(api.add_port("br0", "p1"))
    transaction.add(api.db_set("Interface", "p1", ("type", "dummy"), ("external_ids", {"iface-id": "x"})))
    transaction.add(api.set_controller("br0", ["tcp:127.0.0.1:6653"]))
    transaction.add(api.set_fail_mode("br0", "secure"))
print(do(api.list_br()), do(api.list_ports("br0")), do(api.iface_to_br("p1")), do(api.get_controller("br0")))
print(do(api.db_get("Interface", "p1", "external_ids")), do(api.db_get("Interface", "p1", "ofport")))
print(sorted(row["name"] for row in do(api.db_list("Interface"))))
print([row["name"] for row in do(api.db_find("Interface", ("type", "=", "dummy"), ("name", "=", "p1")))])
do(api.db_add("Bridge", "br0", "other_config", {"a": "b"}))
do(api.db_remove("Interface", "p1", "external_ids", "iface-id"))
print(do(api.db_get("Bridge", "br0", "other_config")), do(api.db_get("Interface", "p1", "external_ids")))
do(api.db_clear("Bridge", "br0", "other_config"))
do(api.add_br("br1", datapath_type="dummy"))
do(api.del_port("p1", "br0"))
print(do(api.list_ports("br0")), sorted(do(api.list_br())), do(api.br_exists("br2")))
do(api.del_br("br0"))
do(api.del_br("br1"))
print(do(api.list_br()))
