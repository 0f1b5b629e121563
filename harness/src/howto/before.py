# Writes the policy's modules as they were before the class perf_event and the permission perfmon:
# without both, and without the rules that are about them. Modules of programs that this system
# lacks are listed in the file "unused", as options of semodule.
import bz2, os, re

STORE = "/var/lib/selinux/default/active/modules/100"
WANTED = """base unprivuser staff unconfined su sudo getty hostname shutdown clock bootloader
    loadkeys netutils plymouthd usbmodules quota mandb lvm cgroup tmpreaper tzdata setrans ssh
    cron mta gpg xserver""".split()

cil = {}
for name in os.listdir(STORE):
    try:
        text = open(f"{STORE}/{name}/cil", "rb").read()
    except FileNotFoundError:
        continue
    cil[name] = bz2.decompress(text) if text[:3] == b"BZh" else text

# A module needs those that define what it requires outside an optional block.
defined = {}
for name, text in cil.items():
    for what in re.findall(rb"^\((?:type|typeattribute|role|roleattribute) (\w+)\)", text, re.M):
        defined.setdefault(what, name)
used, left = set(), [name for name in WANTED if name in cil]
while left:
    name = left.pop()
    if name in used:
        continue
    used.add(name)
    required = re.findall(rb"^\((?:type|role)attributeset cil_gen_require (\w+)\)", cil[name], re.M)
    left += {defined[what] for what in required if what in defined}

os.makedirs("before", exist_ok=True)
for name in sorted(used):
    text = cil[name]
    if b"perf_event" not in text and b"perfmon" not in text:
        continue
    text = re.sub(rb"^\s*\(\w+ \S+ \S+ \(perf_event .*\n", b"", text, flags=re.M)
    text = re.sub(rb"^\(class perf_event .*\n", b"", text, flags=re.M)
    text = re.sub(rb" perf_event\b", b"", text)
    text = re.sub(rb"\bperfmon ?", b"", text)
    text = re.sub(rb"^\s*\(\w+ \S+ \S+ \(\w+ \( *\)\)\)\n", b"", text, flags=re.M)
    open(f"before/{name}.cil", "wb").write(text)
open("unused", "w").write(" ".join(f"-r {name}" for name in sorted(set(cil) - used)))
print(len(cil), "modules,", len(used), "used:", *sorted(used))
print("changed:", *sorted(os.listdir("before")))
