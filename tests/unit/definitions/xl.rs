// SPDX-License-Identifier: GPL-2.0-or-later
//! xl's files, in the forms that xl.cfg(5), xl-disk-configuration(5), xl-network-configuration(5) and libvirt document.

use vm_agent::model::definition::{DefinedDomain, DiskDevice, DiskKind, parse_xl};

fn facts(text: &str) -> DefinedDomain {
    parse_xl(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn with(line: &str) -> DefinedDomain {
    facts(&format!("name = 'web'\n{line}\n"))
}

/// A paravirtual guest with everything that is read.
const FULL: &str = "# the shop\n\
    name = \"web\"\n\
    uuid = \"01234567-89ab-cdef-0123-456789abcdef\"\n\
    type = \"pv\"\n\
    kernel = '/boot/vmlinuz'   # the guest's\n\
    ramdisk = \"/boot/initrd\"\n\
    extra = \"console=hvc0 root=/dev/xvda1 quiet=\\\"yes\\\"\"\n\
    memory = 512\n\
    maxmem = 1024\n\
    vcpus = 2\n\
    maxvcpus = 4\n\
    vif = [ 'mac=00:16:3e:00:00:01,bridge=xenbr0',\n\
    \t'bridge=xenbr1', # the second network\n\
    ]\n\
    disk = [\n\
    \t'/dev/vg/web,raw,xvda,rw',\n\
    \t'format=qcow2, vdev=xvdb, access=r, target=/images/a,b.qcow2'\n\
    ]\n\
    pci = [ '01:00.0', '0000:02:00.1,permissive=1' ]\n\
    on_poweroff = 'destroy'; on_reboot = 'restart'\n\
    on_crash = \"preserve\"";

#[test]
fn a_full_file_gives_every_fact() {
    let d = facts(FULL);
    assert_eq!((d.name.as_str(), d.domain_type.as_str(), d.os_type.as_deref()), ("web", "xen", Some("xen")));
    assert_eq!(d.uuid.map(|uuid| (uuid[0], uuid[15])), Some((0x01, 0xef)));
    assert_eq!((d.vcpus_current, d.vcpus_max), (Some(2), Some(4)));
    assert_eq!((d.memory_current_kib, d.memory_max_kib), (Some(512 << 10), Some(1 << 20)));
    assert_eq!((d.kernel.as_deref(), d.initrd.as_deref()), (Some("/boot/vmlinuz"), Some("/boot/initrd")));
    let ends = [d.on_poweroff, d.on_reboot, d.on_crash].map(Option::unwrap);
    assert_eq!(ends, ["destroy", "restart", "preserve"]);
    let disks: Vec<_> =
        d.disks.iter().map(|disk| (disk.target.as_deref(), disk.source.as_deref(), disk.read_only)).collect();
    assert_eq!(disks, [(Some("xvda"), Some("/dev/vg/web"), false), (Some("xvdb"), Some("/images/a,b.qcow2"), true)]);
    assert_eq!(d.interfaces[0].mac.as_deref(), Some("00:16:3e:00:00:01"));
    assert_eq!(d.interfaces[1].source.as_deref(), Some("xenbr1"));
    assert_eq!(d.hostdevs, ["pci 0000:01:00.0", "pci 0000:02:00.1"]);
}

/// The forms in which a file may be written, each of which names the domain `web`.
const FORMS: &[&str] = &[
    "name=\"web\"",
    "name = 'web'",
    "name\t=\t\"web\"\t",
    "\n\n  name = \"web\"\n\n",
    "name = \"web\" # a comment",
    "# a comment with 'a quote\nname = \"web\"",
    "name = \"web\"; memory = 128; vcpus = 1",
    "name = \"web\";",
    ";;name = \"web\"\n;\n",
    "name = \"web\"\r\nmemory = 128\r\n",
    "\u{feff}name = \"web\"",
    "name = \"other\"\nname = \"web\"",
    "name = \"w\"\nname += \"eb\"",
    "name += \"web\"",
    "name = \"web\"\nextra = \"a='b' c=\\\"d\\\" \\\\ \\n\"",
    "name = \"web\"\nextra = 'ro \"quoted\" # no comment'",
    "name = \"web\"\nextra = ''",
    "name = \"web\"\nmemory = \"128\"",
    "name = \"web\"\nmemory = 0x80",
    "name = \"web\"\nvcpus = 02",
    "name = \"web\"\nvif = []",
    "name = \"web\"\nvif = [ ]",
    "name = \"web\"\nvif = ['']",
    "name = \"web\"\nvif = [\n]",
    "name = \"web\"\nvif = [ 'bridge=a', 'bridge=b', ]",
    "name = \"web\"\nvif = [ 'bridge=a'\n, 'bridge=b'\n\n]",
    "name = \"web\"\nvif = [ # none yet\n# at all\n]",
    "name = \"web\"\nvif = [ 'bridge=a' ]\nvif += [ 'bridge=b' ]",
    "name = \"web\"\ncpus = [ 2, 3 ]",
    "name = \"web\"\nvnuma = [ [ \"pnode=0\", \"size=512\" ], [ \"pnode=1\" ] ]",
    "name = \"web\"\ndisk = ''",
    "name = \"web\"\ncpus = \"all,^0-1\"",
    "type = \"hvm\"\nname = \"web\"\nbuilder = \"hvm\"",
    "name = \"web\"\nbuilder = 'linux'\nbootloader = '/usr/bin/pygrub'",
    "name = \"web\"\nvfb = [ 'type=vnc,vncdisplay=10,vncpasswd=secret' ]",
    "name = \"web\"\nsdl = 0\nvnc = 1\nvnclisten = \"127.0.0.1\"\nboot = \"cd\"",
    "name = \"web\"\nusbdevice = [ 'tablet', 'host:1.2' ]",
    "name = \"web\"\non_crash = 'coredump-restart'",
];

#[test]
fn a_file_may_be_written_in_many_ways() {
    for form in FORMS {
        assert_eq!(facts(form).name, "web", "{form}");
    }
}

#[test]
fn the_kind_of_guest_is_told_by_type_or_by_the_former_builder() {
    for (line, kind) in [
        ("", "xen"),
        ("type = 'pv'", "xen"),
        ("type = 'pvh'", "xenpvh"),
        ("type = 'hvm'", "hvm"),
        ("builder = 'hvm'", "hvm"),
        ("builder = 'generic'", "xen"),
        ("type = 'pv'\nbuilder = 'hvm'", "xen"),
    ] {
        assert_eq!(with(line).os_type.as_deref(), Some(kind), "{line}");
    }
}

#[test]
fn disks_in_all_their_spellings() {
    let (file, block) = (DiskKind::File, DiskKind::Block);
    let script = |name: &str| DiskKind::Other(name.into());
    // Words, name in the guest, kind, source, format, whether the guest may only read it.
    for (words, target, kind, source, format, read_only) in [
        ("/dev/vg/a,raw,xvda,rw", "xvda", block.clone(), "/dev/vg/a", "raw", false),
        ("/dev/vg/a,,xvda", "xvda", block.clone(), "/dev/vg/a", "", false),
        ("/images/a.img,raw,xvda,w", "xvda", file.clone(), "/images/a.img", "raw", false),
        ("/images/a.img,qcow2,hda,r", "hda", file.clone(), "/images/a.img", "qcow2", true),
        ("/images/cd.iso,,hdc,cdrom", "hdc", file.clone(), "/images/cd.iso", "", true),
        ("/images/cd.iso,raw,hdc,ro,cdrom", "hdc", file.clone(), "/images/cd.iso", "raw", true),
        (
            "format=vhd,vdev=xvdb,access=rw,target=/images/a b.vhd",
            "xvdb",
            file.clone(),
            "/images/a b.vhd",
            "vhd",
            false,
        ),
        ("vdev=hdc,access=r,devtype=cdrom,target=/cd.iso", "hdc", file.clone(), "/cd.iso", "", true),
        (
            "format=raw,vdev=xvdc,access=rw,backendtype=phy,target=/dev/sdb",
            "xvdc",
            block.clone(),
            "/dev/sdb",
            "raw",
            false,
        ),
        ("phy:/dev/vg/a,xvda,w", "xvda", block.clone(), "/dev/vg/a", "", false),
        ("phy:vg/a,xvda1,w", "xvda1", block.clone(), "/dev/vg/a", "", false),
        ("phy:/dev/disk/by-id/scsi-1,hda,r", "hda", block.clone(), "/dev/disk/by-id/scsi-1", "", true),
        ("file:/images/a.img,xvda,w", "xvda", file.clone(), "/images/a.img", "raw", false),
        ("file:/images/a.iso,hdc:cdrom,r", "hdc", file.clone(), "/images/a.iso", "raw", true),
        ("tap:aio:/images/a.img,xvda,w", "xvda", file.clone(), "/images/a.img", "raw", false),
        ("tap:qcow2:/images/a.qcow2,xvda,w", "xvda", file.clone(), "/images/a.qcow2", "qcow2", false),
        ("tap2:tapdisk:aio:/images/a.img,sda,w!", "sda", file.clone(), "/images/a.img", "raw", false),
        ("qcow:/images/a.qcow,sda,rw", "sda", file.clone(), "/images/a.qcow", "qcow", false),
        ("vhd:/images/a.vhd,sda1,rw", "sda1", file.clone(), "/images/a.vhd", "vhd", false),
        ("/images/a.img,raw,xvda,rw,direct-io-safe,discard", "xvda", file, "/images/a.img", "raw", false),
        ("drbd:web,xvda,w", "xvda", script("block-drbd"), "block-drbd:web", "", false),
        (
            "format=raw,vdev=xvda,script=block-drbd,target=web",
            "xvda",
            script("block-drbd"),
            "block-drbd:web",
            "raw",
            false,
        ),
        (
            "vdev=xvda, format=raw, access=rw, script=block-iscsi, target=iqn=iqn.a:b,portal=c",
            "xvda",
            script("block-iscsi"),
            "block-iscsi:iqn=iqn.a:b,portal=c",
            "raw",
            false,
        ),
    ] {
        let facts = with(&format!("disk = [ '{words}' ]"));
        let disk = &facts.disks[0];
        assert_eq!((disk.target.as_deref(), &disk.kind), (Some(target), &kind), "{words}");
        assert_eq!(disk.source.as_deref(), Some(source), "{words}");
        assert_eq!(disk.format.as_deref().unwrap_or_default(), format, "{words}");
        assert_eq!((disk.read_only, disk.shareable), (read_only, words.ends_with('!')), "{words}");
    }
    let empty = with("disk = [ ',empty,hdd,cdrom', 'devtype=cdrom,vdev=hdc,access=r' ]").disks;
    assert!(empty.iter().all(|disk| disk.source.is_none() && disk.device == DiskDevice::Cdrom));
}

#[test]
fn interfaces_say_their_bridge_and_address() {
    for (words, bridge, mac, model) in [
        ("bridge=xenbr0", Some("xenbr0"), None, None),
        ("mac=00:16:3E:01:02:03,bridge=br0", Some("br0"), Some("00:16:3E:01:02:03"), None),
        ("type=ioemu, bridge=br0, model=e1000", Some("br0"), None, Some("e1000")),
        ("ip=10.0.0.1,script=vif-route,vifname=web0,rate=10Mb/s,backend=driver", None, None, None),
        ("", None, None, None),
    ] {
        let facts = with(&format!("vif = [ '{words}' ]"));
        let interface = &facts.interfaces[0];
        let told = [&interface.source, &interface.mac, &interface.model].map(Option::as_deref);
        assert_eq!(told, [bridge, mac, model], "{words}");
    }
}

#[test]
fn numbers_are_read_as_xl_reads_them() {
    for (line, kib) in [("memory = 256", 256 << 10), ("memory = 0x100", 256 << 10), ("memory = '0400'", 256 << 10)] {
        assert_eq!(with(line).memory_current_kib, Some(kib), "{line}");
    }
    assert_eq!(with("maxmem = 512").memory_current_kib, Some(512 << 10));
    assert_eq!((with("vcpus = 3").vcpus_max, with("maxvcpus = 3").vcpus_current), (Some(3), Some(3)));
    assert_eq!((with("").memory_max_kib, with("").vcpus_max, with("").uuid), (None, None, None));
}

#[test]
fn what_is_odd_is_refused_with_its_line() {
    for (text, expected) in [
        ("", "no name = \"...\""),
        ("memory = 128", "no name"),
        ("name = ''", "no name"),
        ("name = ' '", "line 1, column 8: the name is blank"),
        ("name = 'a/b'", "the name holds a '/'"),
        ("name = 'a\\nb'", "the name holds a control character"),
        ("name = [ 'web' ]", "name is a list; expected a single value"),
        ("name 'web'", "line 1, column 6: no '=' behind the key 'name'"),
        ("name =", "no value behind the '='"),
        ("name = # 'web'", "no value behind the '='"),
        ("name = web", "a value is a string in quotes"),
        ("name = 'web", "line 1, column 8: this string is not closed on its line"),
        ("name = 'web\nmemory = '", "this string is not closed"),
        ("name = 'w' 'eb'", "more than one value behind 'name ='"),
        ("name = 'w' + 'eb'", "more than one value"),
        ("name = \"\"\"web\"\"\"", "three quotes are Python"),
        ("name = 'w\\x65b'", "write the character itself"),
        ("name = 'w\\145b'", "write the character itself"),
        ("name = 'w\\eb'", "a '\\' before a character that needs none"),
        ("name = 'web'\nmemory = 12g", "'12g' is no number; a string needs quotes"),
        ("name = 'web'\nmemory = '1 GiB'", "line 2, column 10: memory is '1 GiB'; expected a whole number"),
        ("name = 'web'\nmemory = -1", "a value is a string"),
        ("name = 'web'\nmemory = 99999999999", "expected a whole number"),
        ("name = 'web'\nvcpus = [ 1 ]", "vcpus is a list"),
        ("name = 'web'\nuuid = 'web'", "line 2, column 8: uuid is not 32 hexadecimal digits"),
        ("name = 'web'\ntype = 'qemu'", "type is 'qemu'; expected pv, pvh or hvm"),
        ("name = 'web'\non_crash = 'ignore'", "on_crash is 'ignore'; expected one of destroy"),
        ("name = 'web'\nvif = 'bridge=a'", "vif is a single value; expected a list in brackets"),
        ("name = 'web'\nvif = [ 'a' ]", "an interface's words are each key=value"),
        ("name = 'web'\nvif = [ 'bridge=a'", "line 2, column 7: this list is not closed"),
        ("name = 'web'\nvif = [ 'bridge=a' 'bridge=b' ]", "expected ',' or ']' behind a value"),
        ("name = 'web'\nvif = ( 'bridge=a' )", "a value is a string"),
        ("name = 'web'\nvif = [ 'bridge=a' ]\nvif += 'x'", "'+=' adds a list to a string, or a string to a list"),
        ("name = 'web'\ndisk = [ [ 'a' ] ]", "disk holds a list; expected strings"),
        ("name = 'web'\ndisk = [ '/a,raw' ]", "line 2, column 10: a disk has no vdev"),
        ("name = 'web'\ndisk = [ '/a,raw,xvda,x' ]", "a disk's access is none of"),
        ("name = 'web'\ndisk = [ '/a,img,xvda,r' ]", "a disk's format is none of"),
        ("name = 'web'\ndisk = [ '/a,raw,xvda,r,more,words' ]", "here are more"),
        ("name = 'web'\ndisk = [ 'vdve=xvda,target=/a' ]", "a disk has nothing that is called 'vdve'"),
        ("name = 'web'\ndisk = [\n  'phy:/a,hda:x,w'\n]", "line 3, column 3: a disk's vdev has a ':'"),
        ("name = 'web'\npci = [ 'first' ]", "a device's address is like 0000:01:00.0"),
        ("name = 'web'\nimport os", "line 2, column 1: 'import' is Python"),
        ("name = 'web'\nif x == 1:\n  memory = 1", "'if' is Python"),
        ("name = 'web'\nMemory = 128", "'Memory' is not a key"),
        ("name = 'web'\nmem-ory = 128", "no '=' behind the key 'mem'"),
        ("name = 'web'\n= 5", "'=' where a key is expected"),
        ("name = 'web'\n1 = 5", "'1' is not a key"),
        ("(vm (name web) (memory 128))", "an SXP form"),
        ("{ \"c_info\": { \"name\": \"web\" } }", "a JSON form"),
        ("[ { \"domid\": 1 } ]", "a JSON form"),
    ] {
        match parse_xl(text.as_bytes()) {
            Ok(facts) => panic!("{text}\nwas read: {facts:?}"),
            Err(error) => assert!(error.to_string().contains(expected), "{text}\n  {error}"),
        }
    }
    assert!(parse_xl(b"name = 'w\xe9b'").unwrap_err().to_string().contains("not UTF-8"));
    assert!(parse_xl(format!("name = 'web'\na = {}", "[".repeat(20)).as_bytes()).is_err());
}

#[test]
fn what_it_says_of_an_error_holds_no_password() {
    for text in [
        "name='web'\nvncpasswd = \"secret\" x",
        "name='web'\nvfb = [ 'vncpasswd=secret' 1 ]",
        "name='web'\nvncpasswd=[\"secret",
    ] {
        assert!(!parse_xl(text.as_bytes()).unwrap_err().to_string().contains("secret"));
    }
}
