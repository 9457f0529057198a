#!/bin/sh -e
# Fills the database of the server in this directory and makes files beside it, with the stock tools.
V="ovs-vsctl --no-wait --no-syslog"
$V add-br br0 -- add-port br0 p1 -- add-port br0 p2 tag=5 trunks=1,2,3 -- set interface p2 type=gre options:remote_ip=1.2.3.4 options:key=5 \
 -- add-bond br0 bond0 e0 e1 lacp=active -- add-br f1 br0 10 -- add-port f1 p3 \
 -- set bridge br0 other_config:a=b 'other_config:x="a b"' external_ids:k=v flood_vlans=1,2,7 fail_mode=secure datapath_type=netdev
$V add-br br1 -- add-port br1 q1 -- add-port br1 q2 -- set interface q1 mtu_request=1500 external_ids:iface-id=abc
$V set-controller br0 tcp:1.2.3.4:6653 ptcp:6654 -- set-manager ptcp:6640 ssl:1.2.3.4:6640 -- set-ssl /a /b /c
$V -- --id=@q create qos type=linux-htb queues=0=@q1,1=@q2 other_config:max-rate=1000000 -- --id=@q1 create queue other_config:max-rate=1000 -- --id=@q2 create queue dscp=5 -- set port p1 qos=@q
$V -- --id=@m create mirror name=m0 select_all=true -- set bridge br0 mirrors=@m
$V -- --id=@m create Datapath datapath_version=0 capabilities='{ct_zone=true,max_vlan_headers=1}' -- set Open_vSwitch . datapaths:netdev=@m
$V add-zone-tp netdev zone=1 icmp_first=1 icmp_reply=2 -- add-aa-mapping br0 100 5
$V set bridge br1 'external_ids:"é 日本"="<x>&\"é"' external_ids:empty='""'
$V set open . ovs_version=3.1.0 other_config:foo=bar external_ids:system-id=x
cp /usr/share/openvswitch/vswitch.ovsschema vs.ovsschema
sed 's/"version": "[0-9.]*",//; s/"cksum": "[^"]*",//' vs.ovsschema > noversion.ovsschema
sed 's/"8\.3\.1"/"8.3.2"/' vs.ovsschema > other.ovsschema
echo '{"name":"x"}' > bad1.ovsschema
echo '{"name":"x","tables":{"a":{"columns":{"b":{"type":"foo"}}}}}' > bad2.ovsschema
echo '{"name":"x","tables":{"a":{"columns":{"b":{"type":"string"}}}' > bad3.ovsschema
echo '[]' > bad4.ovsschema
echo '{"name":"x","tables":{"a":{"columns":{"_b":{"type":"string"}}}}}' > bad5.ovsschema
echo '{"name":"x","version":"1","tables":{"a":{"columns":{"b":{"type":{"key":"string","min":3}}}}}}' > bad6.ovsschema
echo '{"name":"Open_vSwitch","version":"1.0.0","tables":{"Bridge":{"columns":{"name":{"type":"string","mutable":false}},"isRoot":true}}}' > small.ovsschema
: > empty
cp conf.db copy.db
ovsdb-tool create changes.db small.ovsschema
ovsdb-tool create-cluster clustered.db vs.ovsschema tcp:127.0.0.1:16641
ovsdb-tool join-cluster joining.db Open_vSwitch tcp:127.0.0.1:16642 tcp:127.0.0.1:16641
cat > chg.ovsschema <<'X'
{"name":"Chg","version":"1.0.0","tables":{"A":{"isRoot":true,"columns":{"name":{"type":"string"},"n":{"type":"integer"},"set":{"type":{"key":"integer","min":0,"max":"unlimited"}},"map":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}},"opt":{"type":{"key":"real","min":0}}}},"B":{"isRoot":true,"columns":{"x":{"type":"boolean"}}}}}
X
rm -f changes.db; ovsdb-tool create changes.db chg.ovsschema
T="ovsdb-tool transact changes.db"
$T '["Chg",{"op":"insert","table":"A","row":{"name":"one","n":1,"set":["set",[1,2]],"map":["map",[["a","b"]]]}},{"op":"insert","table":"B","row":{"x":true}},{"op":"comment","comment":"first \"c\"\nline"}]' >/dev/null
$T '["Chg",{"op":"update","table":"A","where":[],"row":{"n":5,"set":["set",[2,3]],"opt":1.5}}]' >/dev/null
$T '["Chg",{"op":"mutate","table":"A","where":[],"mutations":[["map","insert",["map",[["c","d"]]]],["map","delete",["set",["a"]]]]}]' >/dev/null
$T '["Chg",{"op":"update","table":"A","where":[],"row":{"name":"two"}},{"op":"insert","table":"A","row":{}}]' >/dev/null
$T '["Chg",{"op":"delete","table":"A","where":[["n","==",5]]},{"op":"delete","table":"B","where":[]}]' >/dev/null
cp conf.db torn.db; truncate -s -10 torn.db
python3 - <<'X'
b=bytearray(open('conf.db','rb').read()); i=b.rfind(b'OVSDB JSON'); j=b.rfind(b'OVSDB JSON',0,i); b[j+100]^=1; open('corrupt.db','wb').write(b)
X
