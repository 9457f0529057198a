# Frames of every length 0..70, above the MTU, and with damaged VLAN, MPLS, ARP, IP and ND headers, out of a device.
# By hand, inside a namespace made for it: python3 frames.py DEVICE SEED
import socket,sys,random,struct
random.seed(int(sys.argv[2]))
s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind((sys.argv[1],0))
n=e=0
def tx(f):
    global n,e
    try: s.send(f); n+=1
    except OSError: e+=1
eth=b"\xff\xff\xff\xff\xff\xff\x50\x54\0\0\0\x01"
types=[b"\x08\0",b"\x08\x06",b"\x86\xdd",b"\x81\0",b"\x88\xa8",b"\x88\x47",b"\x88\x48",b"\x89\x4f",b"\0\x10",b"\x05\xdc",b"\x06\0",b"\0\0",b"\xff\xff",b"\x88\xcc"]
for t in types:
    for l in range(0,71): tx((eth+t+random.randbytes(80))[:l])
    for l in (1500,1514,1515,1518,1600): tx((eth+t+random.randbytes(9000))[:l])
def ip(proto,pay,ihl=5,tot=None,frag=0,ver=4):
    return bytes([ver<<4|ihl,0])+struct.pack("!HHHBBH4s4s",(20+len(pay)) if tot is None else tot,1,frag,64,proto,0,b"\x0a\0\0\1",b"\x0a\0\0\2")+pay
for i in range(20000):
    k=random.randrange(8)
    pre=eth
    for _ in range(random.randrange(4)): pre+=random.choice([b"\x81\0",b"\x88\xa8"])+random.randbytes(2)
    if k==0: f=pre+b"\x08\0"+ip(random.choice([1,6,17,132,47,4]),random.randbytes(random.randrange(60)),ihl=random.randrange(16),tot=random.randrange(65536) if random.randrange(2) else None,frag=random.choice([0,0,0x2000,0x2001,100]),ver=random.choice([4,4,4,6,0]))
    elif k==1: f=pre+b"\x86\xdd"+bytes([0x60,0,0,0])+struct.pack("!HBB",random.choice([0,8,65535,40]),random.choice([0,43,44,60,51,58,6,17,59,255]),64)+random.randbytes(random.randrange(90))
    elif k==2: f=pre+random.choice([b"\x88\x47",b"\x88\x48"])+b"".join(bytes([random.randrange(256),0,random.randrange(2),64]) for _ in range(random.randrange(12)))+random.randbytes(random.randrange(30))
    elif k==3: f=pre+b"\x08\x06"+random.randbytes(random.randrange(40))
    elif k==4: f=random.randbytes(random.randrange(14,1514))
    elif k==5: f=pre+b"\x86\xdd"+bytes([0x60,0,0,0])+struct.pack("!HBB",32,58,255)+random.randbytes(32)+bytes([random.choice([135,136]),0])+random.randbytes(22)+bytes([random.choice([1,2,3]),random.choice([0,1,4])])+random.randbytes(8)
    elif k==6: f=pre+b"\x08\0"+ip(6,random.randbytes(12)+bytes([random.randrange(256)])+random.randbytes(random.randrange(20)))
    else: f=pre+b"\x89\x4f"+random.randbytes(random.randrange(40))
    tx(f[:random.choice([len(f),len(f),random.randrange(len(f)+1)])])
print("sent",n,"refused by kernel",e)
