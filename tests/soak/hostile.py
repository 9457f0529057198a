# Hostile bytes, half-open connections, floods of connections and clients that never read, on every socket of
# running daemons. By hand: python3 hostile.py RUNDIR SEED BRIDGE PTCP_PORT, where BRIDGE listens on
# ptcp:PTCP_PORT:127.0.0.1. Prints memory, descriptors and idle processor time after each phase, FAULT if a
# daemon does not answer.
import os,sys,socket,random,struct,time,subprocess,resource
resource.setrlimit(resource.RLIMIT_NOFILE,(4096,4096))
run=sys.argv[1]; seed=int(sys.argv[2]); br=sys.argv[3]; ptcp=int(sys.argv[4]); random.seed(seed)
pid=int(open(run+"/ovs-vswitchd.pid").read()); dpid=int(open(run+"/ovsdb-server.pid").read())
def ticks(p):
    s=open(f"/proc/{p}/stat").read().rsplit(") ",1)[1].split(); return int(s[11])+int(s[12])
def rss(p):
    return [int(l.split()[1])//1024 for l in open(f"/proc/{p}/status") if l.startswith("VmRSS")][0]
def fds(p): return len(os.listdir(f"/proc/{p}/fd"))
def conn(path):
    if isinstance(path,int):
        s=socket.create_connection(("127.0.0.1",path)); 
    else:
        s=socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect(path)
    s.settimeout(3); return s
def send(path,data,read=False,half=False):
    try:
        s=conn(path)
        s.sendall(data)
        if half: s.shutdown(socket.SHUT_WR)
        if read:
            s.settimeout(0.2)
            try: s.recv(65536)
            except OSError: pass
        s.close()
    except OSError as e: return e
env=dict(os.environ,OVS_RUNDIR=run,OVS_LOGDIR=run)
def alive(what):
    t=time.time()
    for c in (["ovs-appctl","-T10","version"],["ovs-appctl","-T10","-t","ovsdb-server","version"],["ovs-vsctl","-t10","--no-wait","list-br"],["ovs-ofctl","-t10","show",br]):
        r=subprocess.run(c,env=env,capture_output=True,text=True)
        if r.returncode: print("FAULT",what,c,r.returncode,r.stderr[:200])
    a,b=ticks(pid),ticks(dpid); time.sleep(1.5)
    ca,cb=(ticks(pid)-a)/1.5,(ticks(dpid)-b)/1.5
    print(f"{what}: ok {time.time()-t:.1f}s cpu {ca:.1f}% {cb:.1f}% rss {rss(pid)} {rss(dpid)} MB fds {fds(pid)} {fds(dpid)}",flush=True)
ctl=[f for f in os.listdir(run) if f.endswith(".ctl")]
mg=run+f"/{br}.mgmt"
socks=[mg,run+"/db.sock",ptcp]+[run+"/"+c for c in ctl]
alive("start")
for s in socks:
    for n in (1,7,8,64,1000,70000):
        for _ in range(4): send(s,random.randbytes(n),True)
    send(s,b"",False); send(s,b"",True,True)
    alive(f"random {s}")
hello=struct.pack("!BBHI",4,0,8,1)
def of(t,body=b"",ver=4,ln=None,xid=7): return struct.pack("!BBHI",ver,t,len(body)+8 if ln is None else ln,xid)+body
for s in (mg,ptcp):
    for v in (1,4):
        h=struct.pack("!BBHI",v,0,8,1)
        for t in range(0,36):
            for n in (0,4,8,40,200,60000):
                send(s,h+of(t,random.randbytes(n),v),False)
            send(s,h+of(t,random.randbytes(20),v,ln=3)); send(s,h+of(t,random.randbytes(20),v,ln=65535))
        alive(f"openflow types v{v} {s}")
    # multipart with random type
    for i in range(300):
        send(s,hello+of(18,struct.pack("!HH4x",random.randrange(16),random.randrange(2))+random.randbytes(random.randrange(80))))
    alive("multipart")
# json
for s in [run+"/db.sock"]+[run+"/"+c for c in ctl]:
    for d in (b"[",b"{"*100000,b"["*2000000,b'{"method":"echo","params":['+b"1,"*50000,b'{"id":0,"method":"transact","params":["Open_vSwitch",{"op":"select"}]}',b'{"id":1,"method":"monitor","params":["Open_vSwitch",null,{"Bridge":5}]}',b'{"method":1}',b'null',b'"\xff\xfe\x00"',b'{"id":3,"method":"transact","params":["Open_vSwitch"'+b',{"op":"insert","table":"Bridge","row":{"name":"'+b"x"*200000+b'"}}]}',b'{"id":{"a":[[[]]]},"method":"list_dbs","params":[]}',b'{"id":9,"result":null,"error":null}',b'{"id":9,"method":"monitor_cond_since","params":[1,2,3,4]}',b'{"id":9,"method":"__proto__","params":[]}',b'{"id":9,"method":"constructor","params":["toString"]}',b'{"id":9,"method":"version","params":[{"a":1}]}',b'{"id":9,"method":"dpctl/dump-flows","params":["__proto__","\\ud800"]}',b'{"id":9,"method":"transact","params":["__proto__",{"op":"select","table":"constructor","where":[]}]}',b'{"id":9,"method":"transact","params":["Open_vSwitch",{"op":"select","table":"constructor","where":[["__proto__","==",["set",[["set",[]]]]]]},{"op":"wait","table":"Bridge","timeout":1e300,"columns":["name"],"until":"==","rows":[{"name":"zz"}],"where":[]}]}'):
        e=send(s,d,True)
    # huge without end
    try:
        c=conn(s); c.settimeout(5); tot=0
        try:
            for i in range(800): c.sendall(b'"'+b"a"*65536 if i==0 else b"a"*65536); tot+=65536
        except OSError as e: print("huge",s,tot>>20,"MB",e)
        else: print("huge",s,"took",tot>>20,"MB without complaint")
        c.close()
    except OSError as e: print(e)
    alive(f"json {s}")
# half-open & many
for s in socks:
    cs=[]; err=0
    for i in range(500):
        try: cs.append(conn(s)); 
        except OSError as e: err+=1
    if s in (mg,ptcp):
        for c in cs: 
            try: c.sendall(hello[:5])
            except OSError: err+=1
    print("500 open",s,"errors",err)
    alive(f"500 half-open {s}")
    for c in cs: c.close()
    time.sleep(0.5)
    alive(f"500 closed {s}")
# a client that never reads
for s in (mg,ptcp):
    c=conn(s); c.settimeout(2); c.sendall(hello); sent=0
    try:
        for i in range(200000):
            c.sendall(of(2,b"e"*1000)); sent+=1008
    except OSError as e: print("never reads echo: blocked after",sent>>10,"KB",e)
    alive("never reads echo")
    d=conn(s); d.settimeout(2); d.sendall(hello); sent=0
    try:
        for i in range(200000):
            d.sendall(of(18,struct.pack("!HH4x",1,0)+struct.pack("!B3xII4xQQ",255,0xffffffff,0xffffffff,0,0)+struct.pack("!HH4x",1,4))); sent+=1
    except OSError as e: print("never reads dumps: blocked after",sent,e)
    alive("never reads dumps")
    c.close(); d.close(); time.sleep(.5)
c=conn(run+"/db.sock"); c.settimeout(2); sent=0
try:
    for i in range(20000):
        c.sendall(b'{"id":1,"method":"get_schema","params":["Open_vSwitch"]}'); sent+=1
except OSError as e: print("never reads db: blocked after",sent,e)
alive("never reads db"); c.close(); time.sleep(1); alive("end")
