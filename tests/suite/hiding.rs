//! Places where secrets hide, made up for this test, and bombs. What is not looked into is refused as well, so a place
//! counts as held when the scan names its file.

#![expect(clippy::disallowed_methods, reason = "a person calls the program, not the runner")]
#![expect(clippy::disallowed_macros, reason = "the report is made of these lines")]

mod bombs;
mod families;

use std::process::Command;

use base64::{Engine as _, engine::general_purpose as b64};
use fs_err as fs;

use super::fixtures::Lab;

/// A line that a loader passes to the kernel.
const LINE: &str = "append initrd=/initrd quiet rancher.password=hunter2-and-more\n";

fn places() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(&str, Vec<u8>)> = TEXTS.iter().map(|(n, t)| (*n, t.as_bytes().to_vec())).collect();
    all.extend(spellings());
    all.extend(inside());
    all.extend(numbers());
    all.extend(alphabets());
    all.extend(tokens().into_iter().map(|(n, t)| (n, t.into_bytes())));
    let named = all.into_iter().map(|(name, bytes)| (name.to_owned(), bytes));
    // Some families bear the name of a place.
    named
        .chain(families::places().into_iter().map(|(name, bytes)| (format!("family-{name}"), bytes)))
        .collect()
}

/// As people write them.
#[rustfmt::skip]
const TEXTS: &[(&str, &str)] = &[
        ("isolinux", LINE),
        ("isolinux-other-key", "label a\n  append initrd=/i net.password=hunter2x\n"),
        ("grub", "menuentry x {\n linux /vmlinuz quiet my_password=\"correct horse\"\n}\n"),
        ("grub-variable", "set pw=hunter2x\nlinux /vmlinuz rancher.password=$pw\n"),
        ("grub-password", "set superusers=\"root\"\npassword root hunter2x\n"),
        ("grub-cryptomount", "cryptomount -p hunter2x hd0,gpt2\n"),
        ("grub-default", "GRUB_CMDLINE_LINUX=\"quiet rd.iscsi.password=hunter2x\"\n"),
        ("systemd-boot", "title x\nlinux /vmlinuz\noptions root=/dev/sda1 luks.passphrase=hunter2x\n"),
        ("cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 wifi.psk=hunter2xyz\n"),
        ("syslinux-menu", "MENU MASTER PASSWD hunter2x\n"),
        ("lilo", "boot=/dev/sda\nprompt\nimage=/vmlinuz\n  label=x\n  password=hunter2x\n"),
        ("netroot", "append netroot=iscsi:bob:hunter2x@10.0.0.1::3260::iqn.x\n"),
        ("credential", "append systemd.set_credential=passwd.plaintext-password.root:hunter2x\n"),
        ("unit-credential", "[Service]\nSetCredential=db-password:hunter2x\n"),
        ("ipxe", "#!ipxe\nset username bob\nset password hunter2x\n"),
        ("ipxe-imgargs", "#!ipxe\nimgargs vmlinuz initrd=initrd k3os.token=hunter2xyz0123\n"),
        ("ipxe-variables", "#!ipxe\nset a hun\nset b ter2x\nset password ${a}${b}\n"),
        ("ipxe-address", "#!ipxe\nchain http://bob:hunter2x@10.0.0.1/x\n"),
        ("ipxe-param", "#!ipxe\nparams\nparam password hunter2x\nchain x##params\n"),
        ("ipxe-wpa", "#!ipxe\nset net0/ssid home\nset net0/key hunter2xyz\n"),
        ("cloud-config", "#cloud-config\nrancher:\n  password: hunter2x\n"),
        ("cloud-config-chpasswd", "#cloud-config\nchpasswd:\n  users:\n  - {name: root, password: hunter2x, type: text}\n"),
        ("cloud-config-runcmd", "#cloud-config\nruncmd:\n- echo root:hunter2x | chpasswd\n"),
        ("cloud-config-plain", "#cloud-config\nusers:\n- name: a\n  plain_text_passwd: hunter2x\n"),
        ("cloud-config-anchor", "#cloud-config\nx: &a hunter2x\nrancher:\n  password: *a\n"),
        ("netplan", "network:\n  version: 2\n  wifis:\n    wlan0:\n      access-points:\n        \"home\": {password: \"hunter2xyz\"}\n"),
        ("chpasswd", "echo 'root:hunter2x' | chpasswd\n"),
        ("chpasswd-sudo", "printf 'bob:hunter2x\\n' | sudo chroot /mnt chpasswd\n"),
        ("chpasswd-here", "chpasswd <<EOF\nroot:hunter2x\nEOF\n"),
        ("chpasswd-string", "chpasswd <<< \"root:hunter2x\"\n"),
        ("passwd-stdin", "echo \"hunter2x\" | passwd --stdin root\n"),
        ("usermod", "usermod -p 'ab1cdefghij2.' root\n"),
        ("signify", "untrusted comment: signify secret key\nRWRCSwAAAABUxJ3xDrSsvGvmcRBlXDpbBgUVzuF0R1D9xHqmMC0F6hUJVWZ1Q7aR\n"),
        ("azure-sas", "https://x.blob.core.windows.net/c?sv=2022-11-02&sp=r&sig=Zm9yLXRoaXMtdGVzdC1hbG9uZS1hbmQtbm8tb3RoZXI%3D\n"),
        ("ldap", "base dc=example,dc=com\nbindpw hunter2x\n"),
        ("sssd", "[domain/x]\nldap_default_authtok = hunter2x\n"),
        ("docker-identity", "{\"auths\": {\"r.example.com\": {\"identitytoken\": \"9f8e7d6c5b4a39281706f5e4d3c2b1a0\"}}}\n"),
        ("openssh-narrow", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\nZXktdjEAAAAA\nBG5vbmUAAAAE\nbm9uZQAAAAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
        ("netrc", "machine git.example.com login bob password hunter2x\n"),
        ("netrc-lines", "machine git.example.com\n  login bob\n  password hunter2x\n"),
        ("netrc-default", "default login anonymous password hunter2x\n"),
        ("wpa", "network={\n  ssid=\"home\"\n  psk=\"hunter2 and more\"\n}\n"),
        ("wpa-line", "network={ssid=\"home\" psk=\"hunter2xyz\"}\n"),
        ("wpa-hex", "network={\n ssid=\"x\"\n psk=59e0d07fa4c7741797a4e394f38a5c321e3bed51d54ad5fcbd3f84bc7415d73d\n}\n"),
        ("wpa-eap", "network={\n  identity=\"bob\"\n  password=\"hunter2x\"\n}\n"),
        ("wpa-wep", "network={\n ssid=\"x\"\n wep_key0=\"hunter2x12345\"\n}\n"),
        ("hostapd", "ssid=home\nwpa_passphrase=hunter2xyz\n"),
        ("interfaces", "iface wlan0 inet dhcp\n  wpa-ssid home\n  wpa-psk hunter2xyz\n"),
        ("network-manager", "[wifi-security]\nkey-mgmt=wpa-psk\npsk=hunter2xyz\n"),
        ("iwd", "[Security]\nPassphrase=hunter2xyz\n"),
        ("nmcli", "nmcli device wifi connect home password hunter2xyz\n"),
        ("wireguard", "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"),
        ("wireguard-preshared", "[Peer]\nPresharedKey=FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=\n"),
        ("wireguard-networkd", "[WireGuard]\nPrivateKey=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"),
        ("ipsec", "10.0.0.1 10.0.0.2 : PSK \"hunter2 and more\"\n"),
        ("openvpn", "-----BEGIN OpenVPN Static key V1-----\n6acef03f62675b4b1bbd03e53b187727\n"),
        ("ppp", "# Secrets for authentication using CHAP\n# client server secret IP\nbob * hunter2x *\n"),
        ("kickstart", "rootpw --plaintext hunter2x\n"),
        ("kickstart-plain", "rootpw hunter2x\n"),
        ("kickstart-user", "user --name=bob --groups=wheel --password=hunter2x --plaintext\n"),
        ("kickstart-luks", "autopart --encrypted --passphrase=hunter2x\n"),
        ("kickstart-loader", "bootloader --location=mbr --password=hunter2x\n"),
        ("preseed", "d-i passwd/root-password password hunter2x\n"),
        ("preseed-user", "d-i passwd/user-password password hunter2x\nd-i passwd/user-password-again password hunter2x\n"),
        ("preseed-crypto", "d-i partman-crypto/passphrase password hunter2x\n"),
        ("preseed-wpa", "d-i netcfg/wireless_wpa string hunter2xyz\n"),
        ("preseed-kernel", "append auto=true passwd/root-password=hunter2x\n"),
        ("debconf", "echo \"mysql-server mysql-server/root_password password hunter2x\" | debconf-set-selections\n"),
        ("autoyast", "<user><username>root</username><user_password>hunter2x</user_password></user>\n"),
        ("unattend", "<AdministratorPassword><Value>hunter2x</Value></AdministratorPassword>\n"),
        ("sshpass", "sshpass -p hunter2x ssh root@10.0.0.1\n"),
        ("mysql", "mysqldump -u root -phunter2x db\n"),
        ("curl", "curl -u bob:hunter2x https://example.com/x\n"),
        ("wget", "wget --user bob --password=hunter2x http://x\n"),
        ("mount", "mount -t cifs -o username=bob,password=hunter2x //h/s /mnt\n"),
        ("fstab", "//h/s /mnt cifs username=bob,password=hunter2x 0 0\n"),
        ("smb-credentials", "username=bob\npassword=hunter2x\n"),
        ("docker-login", "docker login -u bob -p hunter2x registry.example.com\n"),
        ("openssl", "openssl enc -aes-256-cbc -pass pass:hunter2x\n"),
        ("cryptsetup", "echo -n hunter2x | cryptsetup open /dev/sda2 root -\n"),
        ("environment", "export DB_PASSWORD=hunter2x\n"),
        ("dotenv", "POSTGRES_PASSWORD=\"hunter2x\"\n"),
        ("unit", "[Service]\nEnvironment=\"API_TOKEN=a8b7c6d5e4f3a2b1c0\"\n"),
        ("compose", "services:\n  db:\n    environment:\n      MYSQL_ROOT_PASSWORD: hunter2x\n"),
        ("json", "{\"user\": \"bob\", \"password\": \"hunter2x\"}\n"),
        ("toml", "[server]\nsecret_key = \"a8b7c6d5e4f3a2b1c0\"\n"),
        ("ini", "[client]\nuser=root\npassword=hunter2x\n"),
        ("pgpass", "db.example.com:5432:app:bob:hunter2x\n"),
        ("sql", "CREATE USER bob IDENTIFIED BY 'hunter2x';\n"),
        ("query", "https://example.com/x?user=bob&password=hunter2x\n"),
        ("k3s", "server: https://10.0.0.1:6443\ntoken: a8b7c6d5e4f3a2b1c0\n"),
        ("shadow-des", "root:abJnggxhB/yWI:19000:0:99999:7:::\n"),
        ("htpasswd-sha", "bob:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=\n"),
        ("totp", "otpauth://totp/x:bob?secret=JBSWY3DPEHPK3PXP2345&issuer=x\n"),
        ("jwk", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\"d\":\"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE\"}\n"),
        ("home", "include /home/alice/secret\n"),
];

/// One line in many spellings, and spellings of spellings.
fn spellings() -> Vec<(&'static str, Vec<u8>)> {
    let line = LINE.as_bytes();
    let each = |of: &dyn Fn(u8) -> String| LINE.bytes().map(of).collect::<String>();
    let hex = each(&|b| format!("{b:02x}"));
    let url =
        each(&|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") });
    let unicode = each(&|b| format!("\\u{b:04x}"));
    let base64 = b64::STANDARD.encode(line);
    // Bytes that need the other two digits.
    let odd = [&b"\xFB\xEF\xBE?>"[..], line].concat();
    let zlib = compressed(flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best()), line);
    let gzip = compressed(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()), line);
    let text = |t: String| t.into_bytes();
    vec![
        ("base64", text(base64.clone())),
        (
            "base64-lines",
            text(
                base64
                    .as_bytes()
                    .chunks(24)
                    .map(|c| String::from_utf8_lossy(c).into_owned() + "\n")
                    .collect(),
            ),
        ),
        ("base64url", text(format!("data={}", b64::URL_SAFE_NO_PAD.encode(&odd)))),
        ("base64-twice", text(b64::STANDARD.encode(&base64))),
        ("base64-url", text(b64::STANDARD.encode(&url))),
        ("base64-gzip", text(b64::STANDARD.encode(&gzip))),
        ("base64-zlib", text(b64::STANDARD.encode(&zlib))),
        ("base64-in-json", text(format!("{{\"data\": \"{base64}\"}}"))),
        ("hex", text(hex.clone())),
        ("hex-upper", text(hex.to_uppercase())),
        ("hex-spaces", text(each(&|b| format!("{b:02x} ")))),
        ("hex-colons", text(each(&|b| format!("{b:02x}:")))),
        ("hex-array", text(each(&|b| format!("0x{b:02x}, ")))),
        ("hex-base64", text(base64.bytes().map(|b| format!("{b:02x}")).collect())),
        ("hex-escapes", text(format!("printf '{}'", each(&|b| format!("\\x{b:02x}"))))),
        ("octal-escapes", text(format!("printf '{}'", each(&|b| format!("\\{b:03o}"))))),
        ("url", text(url.clone())),
        ("url-twice", text(url.replace('%', "%25"))),
        ("json", text(format!("{{\"a\": \"{unicode}\"}}"))),
        ("html", text(each(&|b| format!("&#{b};")))),
        ("html-hex", text(each(&|b| format!("&#x{b:x};")))),
        ("zlib", zlib.clone()),
        ("zlib-behind", [b"header\0\x01\x02", &zlib[..]].concat()),
        ("gzip", gzip),
        ("utf-16", wide()),
        ("utf-16-be", LINE.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ("latin-1", [b"gr\xFC\xDFe\n", line].concat()),
        ("continued", text("append initrd=/initrd rancher.pass\\\nword=hunter2x\n".to_owned())),
        ("continued-crlf", text("append initrd=/initrd rancher.pass\\\r\nword=hunter2x\r\n".to_owned())),
        ("quoted-printable", text("rancher.pass=\nword=3Dhunter2x\n".to_owned())),
        ("concatenated", text("x = \"rancher.pass\" + \"word=hunter2x\"\n".to_owned())),
        ("shell-variable", text("PW='hunter2x'\necho \"root:$PW\" | chpasswd\n".to_owned())),
        ("shell-braces", text("a=hunter; b=2x\nexport PASSWORD=\"${a}${b}\"\n".to_owned())),
        ("template", text("{% set pw = \"hunter2x\" %}\nrancher.password={{ pw }}\n".to_owned())),
        ("nul-between", [b"\0\0\0", base64.as_bytes(), b"\0\0"].concat()),
    ]
}

/// One line as numbers: arrays of programs, and dumps as `xxd`, `hexdump` and `od` print them.
fn numbers() -> Vec<(&'static str, Vec<u8>)> {
    let line = LINE.as_bytes();
    let list = |of: &dyn Fn(u8) -> String, between: &str| -> Vec<u8> {
        line.iter().map(|b| of(*b)).collect::<Vec<_>>().join(between).into_bytes()
    };
    let dump = |address: &dyn Fn(usize) -> String, row: &dyn Fn(&[u8]) -> String| -> Vec<u8> {
        let rows = line.chunks(16).enumerate().map(|(n, bytes)| address(16 * n) + &row(bytes) + "\n");
        rows.collect::<String>().into_bytes()
    };
    let words =
        |bytes: &[u8], of: &dyn Fn(&[u8]) -> String| bytes.chunks(2).map(of).collect::<Vec<_>>().join(" ");
    let each =
        |bytes: &[u8], of: &dyn Fn(u8) -> String| bytes.iter().map(|b| of(*b)).collect::<Vec<_>>().join(" ");
    let hex = |b: u8| format!("{b:02x}");
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\n', ".");
    let low = |pair: &[u8]| u16::from(pair[0]) | u16::from(*pair.get(1).unwrap_or(&0)) << 8;
    let pair = |pair: &[u8]| pair.iter().map(|b| format!("{b:02x}")).collect::<String>();
    vec![
        ("decimal", list(&|b| b.to_string(), ", ")),
        ("decimal-lines", list(&|b| b.to_string(), ",\n  ")),
        ("decimal-chr", list(&|b| format!("chr({b})"), " + ")),
        ("decimal-escapes", list(&|b| format!("\\{b:03}"), "")),
        ("octal-array", list(&|b| format!("0{b:o}"), ", ")),
        ("octal-zero-escapes", list(&|b| format!("\\0{b:o}"), "")),
        ("binary", list(&|b| format!("{b:08b}"), " ")),
        ("binary-run", list(&|b| format!("{b:08b}"), "")),
        ("characters", list(&|b| format!("{:?}", char::from(b)), ", ")),
        ("hex-rust", list(&|b| format!("0x{b:02x}u8"), ", ")),
        ("hex-intel", list(&|b| format!("0{b:02X}h"), ", ")),
        ("hex-dollars", list(&|b| format!("${b:02x}"), " ")),
        ("hex-assembler", list(&|b| format!(".byte 0x{b:02x}"), "\n")),
        ("code-points", list(&|b| format!("U+{b:04X}"), " ")),
        ("unicode-braces", list(&|b| format!("\\u{{{b:x}}}"), "")),
        ("xxd", dump(&|at| format!("{at:08x}: "), &|b| words(b, &pair) + "  " + &shown(b))),
        (
            "xxd-bits",
            dump(&|at| format!("{at:08x}: "), &|b| each(b, &|b| format!("{b:08b}")) + "  " + &shown(b)),
        ),
        ("hexdump", dump(&|at| format!("{at:07x} "), &|b| words(b, &|p| format!("{:04x}", low(p))))),
        ("hexdump-text", dump(&|at| format!("{at:08x}  "), &|b| each(b, &hex) + "  |" + &shown(b) + "|")),
        ("hexdump-decimal", dump(&|at| format!("{at:07x}   "), &|b| words(b, &|p| format!("{:05}", low(p))))),
        ("od", dump(&|at| format!("{at:07o} "), &|b| words(b, &|p| format!("{:06o}", low(p))))),
        ("od-bytes", dump(&|at| format!("{at:07o} "), &|b| each(b, &hex))),
        ("od-octal", dump(&|at| format!("{at:07o} "), &|b| each(b, &|b| format!("{b:03o}")))),
        ("od-no-address", dump(&|_| " ".to_owned(), &|b| each(b, &hex))),
        ("intel-hex", dump(&|at| format!(":10{at:04X}00"), &|b| pair(b) + "00")),
    ]
}

/// One line in alphabets that programs have, as a whole and in several strings.
fn alphabets() -> Vec<(&'static str, Vec<u8>)> {
    let base64 = b64::STANDARD.encode(LINE);
    let parts = |between: &str| -> Vec<u8> {
        let parts: Vec<_> = base64.as_bytes().chunks(40).map(String::from_utf8_lossy).collect();
        parts.join(between).into_bytes()
    };
    vec![
        (
            "ascii85",
            b"<~@;p0sDIal(DJ=35A3DS[DJ=35A0>l7Bk;B/Ea`iqBOu3:E+*g/GAhM44_StUFCfJJ/R`O-/T#EHAI8~>".to_vec(),
        ),
        (
            "base85",
            b"VQ_F|Ze$>7ZfSIKWIZowZfSIKWFT>MX=QXEa$#;`Xk~IPaA9+EcW-iJJ!o}qbY*ffEn#kCEp2adWeN".to_vec(),
        ),
        ("z85", b"vq{f%zE:(7zFsikwizOWzFsikwft(mx>qxeA:-&}xK#ipAa9*eCw?Ijj.O$QBy/FFeN-KceP2ADwEoL5".to_vec()),
        (
            "base58",
            b"6oPrJAQVpgT46gaTUJRjbfGfxPomjXp67KBhYN4KZ6syuES9FtCADDpGAjpJiLrDmqTonJ4YB5xt3SBzVcAuf".to_vec(),
        ),
        ("utf-32", LINE.bytes().flat_map(|b| u32::from(b).to_le_bytes()).collect()),
        ("utf-32-be", LINE.bytes().flat_map(|b| u32::from(b).to_be_bytes()).collect()),
        ("base32-small", BASE32.to_ascii_lowercase().replace('\n', "").into_bytes()),
        ("base64-comment", parts("\n# ")),
        ("base64-mail", parts("\n> ")),
        ("base64-strings", parts("\"\n  \"")),
        ("base64-list", parts("\", \"")),
        ("base64-sum", parts("\" +\n  \"")),
    ]
}

/// [`LINE`] in letters of two bytes.
fn wide() -> Vec<u8> {
    LINE.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Other alphabets, and what begins behind or inside of other bytes.
fn inside() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("base32", BASE32.replace('\n', "").into_bytes()),
        ("base32-lines", BASE32.as_bytes().to_vec()),
        ("uuencode", UUENCODE.as_bytes().to_vec()),
        ("utf-16-inside", [&b"\xFF\x80\x01"[..], &wide(), b"\x01\x02\xFF"].concat()),
        ("utf-16-behind-text", [b"what follows is wide\n", &wide()[..]].concat()),
        ("zip-behind", [&b"#!/bin/sh\nexit\n\xFF\0"[..], &zip_of(LINE.as_bytes())].concat()),
        ("bzip2-behind", [&b"\xFF\0\x01"[..], BZIP2].concat()),
        ("btrfs", marked(0x1_0040, b"_BHRfS_M")),
        ("ntfs", marked(3, b"NTFS    ")),
        ("f2fs", marked(1024, b"\x10\x20\xF5\xF2")),
        ("lvm", marked(512, b"LABELONE")),
        ("vhdx", marked(0, b"vhdxfile")),
        ("compress", marked(0, b"\x1F\x9D\x90")),
    ]
}

/// [`LINE`], as `base32` and `uuencode` write it.
const BASE32: &str = "\
MFYHAZLOMQQGS3TJORZGIPJPNFXGS5DSMQQHC5LJMV2CA4TBNZRWQZLSFZYGC43T
O5XXEZB5NB2W45DFOIZC2YLOMQWW233SMUFA====
";
const UUENCODE: &str = "begin 644 x\n\
M87!P96YD(&EN:71R9#TO:6YI=')D('%U:65T(')A;F-H97(N<&%S<W=O<F0]\n\
1:'5N=&5R,BUA;F0M;6]R90H\n\
`\nend\n";
/// What `bzip2` makes of `hunter2` and a line end.
const BZIP2: &[u8] = b"BZh91AY&SY\x85\xE1\xD2r\x00\x00\x01\xC9\x80\x00\x10\x10\x00\x02A\x16\x00 \x00\x22\x06\x9Az\x10\xC0\x8C~\x86\x10]\xC9\x14\xE1BB\x17\x87I\xC8";

/// Bytes that say nothing, with a mark at a place.
fn marked(at: usize, mark: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..70_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    bytes[at..at + mark.len()].copy_from_slice(mark);
    bytes
}

/// A zip's file, packed; what stands behind it is not needed to see that.
fn zip_of(bytes: &[u8]) -> Vec<u8> {
    let packed =
        compressed(flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best()), bytes);
    let sizes = [packed.len(), bytes.len()].map(|n| u32::try_from(n).unwrap().to_le_bytes()).concat();
    [&b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0"[..], &sizes, b"\x05\0\0\0x.txt", &packed].concat()
}

fn compressed(mut writer: impl std::io::Write + Finish, bytes: &[u8]) -> Vec<u8> {
    writer.write_all(bytes).unwrap();
    writer.finish_all()
}

trait Finish {
    fn finish_all(self) -> Vec<u8>;
}

impl Finish for flate2::write::DeflateEncoder<Vec<u8>> {
    fn finish_all(self) -> Vec<u8> {
        self.finish().unwrap()
    }
}

impl Finish for flate2::write::ZlibEncoder<Vec<u8>> {
    fn finish_all(self) -> Vec<u8> {
        self.finish().unwrap()
    }
}

impl Finish for flate2::write::GzEncoder<Vec<u8>> {
    fn finish_all(self) -> Vec<u8> {
        self.finish().unwrap()
    }
}

/// Tokens of services, which gitleaks knows; put together here, so that no scanner takes this file for a leak.
fn tokens() -> Vec<(&'static str, String)> {
    let hex = |n: usize| "0a1b2c3d4e5f6789".chars().cycle().take(n).collect::<String>();
    let mixed = |n: usize| "aB3dE6gH9jK2mN5pQ8sT1vW4".chars().cycle().take(n).collect::<String>();
    vec![
        ("github", format!("x=ghp_{}\n", mixed(36))),
        ("gitlab", format!("token: glpat-{}\n", mixed(20))),
        ("aws", format!("aws_access_key_id={}{}\n", "AKIA", "Q3EGRIYMNB5XWZ7T")),
        (
            "slack-hook",
            format!("https://hooks.slack.com/services/T{}/B{}/{}\n", "0123ABCDE", "0123ABCDE", mixed(24)),
        ),
        ("digitalocean", format!("dop_v1_{}\n", hex(64))),
        ("tailscale", format!("x=tskey-auth-{}-{}\n", mixed(16), mixed(32))),
        ("vault", format!("VAULT=hvs.{}\n", mixed(95))),
        ("npm", format!("//registry.npmjs.org/:_authToken=npm_{}\n", mixed(36).to_lowercase())),
        ("pypi", format!("pypi-AgEIcHlwaS5vcmc{}\n", mixed(60))),
        ("grafana", format!("glsa_{}_{}\n", mixed(32), hex(8))),
        ("sendgrid", format!("SG.{}.{}\n", mixed(22), mixed(43))),
        ("google", format!("key=AIza{}\n", mixed(35))),
        ("jwt", format!("eyJ{}.eyJ{}.{}\n", mixed(30), mixed(40), mixed(43))),
        ("bearer", format!("Authorization: Bearer {}\n", mixed(32))),
    ]
}

/// The names of files that the scan refuses.
fn refused(lab: &Lab, folder: &str) -> (Vec<String>, String) {
    let mut command = Command::new(super::repo::whole_program());
    command.args(["secret-scan", "--json"]).arg(lab.path(folder)).env("HOME", "/home/builder-of-media");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    let scan: serde_json::Value = said
        .lines()
        .scan(String::new(), |all, line| {
            all.push_str(line);
            Some(serde_json::from_str::<serde_json::Value>(all).ok())
        })
        .flatten()
        .find(|v| v.get("found").is_some())
        .unwrap_or_default();
    let found = scan["found"].as_array().into_iter().flatten();
    let mut names: Vec<String> =
        found.filter_map(|f| Some(f["find"]["artifact"].as_str()?.to_owned())).collect();
    let unread = scan["unread"].as_array().into_iter().flatten();
    names.extend(unread.filter_map(|u| Some(u.as_str()?.split([':', ' ']).next()?.to_owned())));
    (names, said)
}

#[test]
fn secrets_are_found_wherever_people_leave_them() {
    let lab = Lab::new();
    lab.write("places/x", "");
    let places = places();
    for (name, bytes) in &places {
        fs::write(lab.path(&format!("places/{name}")), bytes).unwrap();
    }
    let (found, said) = refused(&lab, "places");
    let missed: Vec<_> = places.iter().map(|(name, _)| name).filter(|n| !found.contains(n)).collect();
    println!(
        "reliability: hiding places: {} tried, {} held; missed: {missed:?}",
        places.len(),
        places.len() - missed.len()
    );
    assert!(places.len() >= 500);
    assert!(missed.len() * 20 <= places.len(), "missed: {missed:?}");
    assert!(!said.contains("hunter2"), "a secret is shown");
}
