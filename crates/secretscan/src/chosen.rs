//! Passwords and keys that a person set, told by the syntax around them: loaders and kernel lines, iPXE, `chpasswd`,
//! netrc, WPA, WireGuard, kickstart, preseed, and whatever else sets up a machine.

use super::{forms::entropy, passwords::password, rules::FindKind, values::phrase_or_random};

/// A rule.
pub(super) struct ChosenRule {
    /// One of these stands in whatever the pattern matches, in any case.
    pub(super) words: &'static [&'static str],
    /// The first group that matched is the value; `VALUE` stands for [`VALUE`].
    pub(super) pattern: &'static str,
    pub(super) judge: fn(&[u8]) -> Option<FindKind>,
}

/// A value, in quotes or up to what ends a word.
pub(super) const VALUE: &str =
    r#"(?:\\?"([^"\\\r\n]{1,200})\\?"|'([^'\r\n]{1,200})'|([^\s"'`;,&|<>(){}\\][^\s"'`;,&|<>)\\]{0,199}))"#;

const SECRET: &[&str] = &["passw", "passphrase", "secret", "token", "psk", "api_key", "apikey", "api-key"];

/// Which words stand for a choice or for no password at all.
const OFF: &[&str] = &[
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "none",
    "null",
    "nil",
    "ask",
    "prompt",
    "default",
    "files",
    "auto",
    "optional",
    "required",
    "enabled",
    "disabled",
    "string",
    "str",
    "boolean",
    "plain",
    "crypt",
    "hash",
    "md5",
    "sha256",
    "sha512",
    "login",
    "unset",
    "empty",
    "undefined",
    "-",
    "0",
    "1",
];
/// Values that manuals take as examples.
const EXAMPLES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pass",
    "secret",
    "token",
    "psk",
    "example",
    "changeme",
    "foo",
    "bar",
    "foobar",
    "xxx",
    "string",
    "value",
    "text",
    "word",
    "key",
    "user",
    "username",
    "mypassword",
    "mysecret",
    "yourpassword",
    "your_password",
    "my_password",
];

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim().to_owned()
}

/// What stands in place of a value: a variable, a format, an option, a mark in a manual.
fn stands_for(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let marked = value.starts_with(['$', '<', '{', '%', '@', '[', '(', '&', '‹', '*']);
    marked && !value.ends_with(|c: char| c.is_ascii_digit() || c == '!')
        || value.starts_with("--")
        || value.starts_with("$(")
        || value.starts_with("${")
        || value.starts_with("{{")
        || value.contains("...")
        || OFF.contains(&lower.as_str())
}

/// Any password in a place where nothing else stands.
fn chosen(value: &[u8]) -> Option<FindKind> {
    let value = text(value);
    if value.is_empty() || stands_for(&value) { None } else { password(&value) }
}

/// One that no manual has as its example, where manuals and programs have the same syntax.
pub(super) fn uncommon(value: &[u8]) -> Option<FindKind> {
    let value = text(value);
    let lower = value.to_ascii_lowercase();
    let example = EXAMPLES.iter().any(|e| lower.trim_matches(|c: char| !c.is_alphanumeric()) == *e)
        || value.len() < 4
        || value.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b == b'-');
    if example && value != "rancher" { None } else { chosen(value.as_bytes()) }
}

/// One that looks like nothing else: letters and digits, and neither a name of a program nor a path.
pub(super) fn random(value: &[u8]) -> Option<FindKind> {
    let value = text(value);
    let has = |of: fn(&u8) -> bool| value.bytes().any(|b| of(&b));
    let name = value.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        || value.contains(['/', '(', '[', '<', '$', '*'])
        || value.contains("::")
        || value.contains("->")
        || value.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'x');
    let looks = value.len() >= 6 && has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit) && !name;
    if looks { uncommon(value.as_bytes()) } else { None }
}

/// Random, or a phrase.
pub(super) fn either(value: &[u8]) -> Option<FindKind> {
    phrase_or_random(&String::from_utf8_lossy(value))
}

pub(super) fn token(value: &[u8]) -> Option<FindKind> {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let real = value.len() >= 10 && digits >= 3 && entropy(value) >= 3.0;
    random(value).filter(|_| real).map(|_| FindKind::Token)
}

/// 32 bytes in base64.
fn wireguard(value: &[u8]) -> Option<FindKind> {
    let zeros = value.iter().filter(|b| **b == b'A').count() > 30;
    (!zeros).then_some(FindKind::PrivateKey)
}

fn private_key(_: &[u8]) -> Option<FindKind> {
    Some(FindKind::PrivateKey)
}

pub(super) fn hashed(_: &[u8]) -> Option<FindKind> {
    Some(FindKind::PasswordHash)
}

/// The rules.
pub(super) const RULES: &[ChosenRule] = &[
    // A kernel's line in any loader's configuration: ISOLINUX, GRUB, systemd-boot, iPXE, U-Boot, /proc/cmdline.
    ChosenRule {
        words: SECRET,
        pattern: r#"(?im)^[^\n#]*?\b(?:append|linux(?:16|efi)?|kernel|imgargs|chain|imgexec|module2?|multiboot2?|options|\w*cmdline\w*|bootargs|BOOT_IMAGE|root)\b[\s=:"']+(?:[^\n]*?[\s"'])??[\w.-]*(?:passw(?:or)?d|passwd|passphrase|secret|token|[._-]psk|api[_.-]?key)=VALUE"#,
        judge: uncommon,
    },
    // The same words anywhere, in the name space of something that sets up a system.
    ChosenRule {
        words: SECRET,
        pattern: r#"(?i)(?:^|[\s"'])(?:rd|rancher|burmilla|live-config|live|inst|systemd|ds|iscsi|cloud-init|cc|ignition|coreos|k3os|flatcar|talos|netcfg|passwd|mirror|debian-installer|partman-crypto)[./][\w./:-]*(?:password|passwd|passphrase|secret|token|psk)[\w-]*=VALUE"#,
        judge: chosen,
    },
    ChosenRule {
        words: &["netroot="],
        pattern: r"(?i)\bnetroot=iscsi:[^:@\s]+:([^:@\s]+)[^@\s]*@",
        judge: chosen,
    },
    ChosenRule {
        words: &["credential"],
        pattern: r#"(?i)\bset_?credential(?:_binary)?=["']?[\w.@-]+:VALUE"#,
        judge: chosen,
    },
    // iPXE: form parameters, and keys of networks; `set password` has a rule of its own.
    ChosenRule {
        words: SECRET,
        pattern: r"(?im)^\s*param(?:\s+--\S+(?:\s+\S+)?)*?\s+\S*(?:passw|passphrase|secret|token|psk|key)\S*\s+VALUE",
        judge: chosen,
    },
    ChosenRule { words: &["/key"], pattern: r"(?im)^\s*set\s+\S+/key(?::\w+)?\s+VALUE", judge: chosen },
    // GRUB and LILO.
    ChosenRule {
        words: &["cryptomount"],
        pattern: r"(?im)^\s*cryptomount\b[^\n]*?\s-p\s+VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["superusers"],
        pattern: r"(?is)\bsuperusers\s*=.{0,400}?^?\s*password\s+\S+\s+VALUE",
        judge: chosen,
    },
    ChosenRule {
        words: &["password="],
        pattern: r"(?is)(?:\A|\n)\s*(?:boot|image|lba32|prompt|timeout|other|map)\b[^\n]*\n.{0,300}?\n\s*password=VALUE",
        judge: chosen,
    },
    // Accounts.
    ChosenRule {
        words: &["chpasswd"],
        pattern: r#"(?im)(?:echo|printf)\s+(?:-\w+\s+)*["']?[\w.$-]+:([^\s"'|\\]+)(?:\\n)?["']?\s*\|[^\n|]*\bchpasswd\b"#,
        judge: chosen,
    },
    ChosenRule {
        words: &["chpasswd"],
        pattern: r#"(?i)\bchpasswd\b[^\n]*?<<<?-?\s*(?:\\?["']?\w+["']?[^\n]*\n\s*|["']?)[\w.-]+:([^\s"']+)"#,
        judge: chosen,
    },
    ChosenRule {
        words: &["passwd"],
        pattern: r"(?im)(?:echo|printf)\s+(?:-\w+\s+)*VALUE\s*\|[^\n|]*\bpasswd\b",
        judge: chosen,
    },
    ChosenRule {
        words: &["usermod", "useradd", "adduser"],
        pattern: r"(?im)^[^\n#]*\b(?:usermod|useradd|adduser)\b[^\n]*?\s(?:-p|--password)[\s=]+VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["root:", ":0:"],
        pattern: r"(?m)^[a-z_][\w-]{0,31}:([./0-9A-Za-z]{13}):\d*:\d*:",
        judge: hashed,
    },
    ChosenRule {
        words: &["{ssha", "{sha", "{md5", "{smd5"],
        pattern: r"(?i)\{S?(?:SHA(?:256|512)?|MD5)\}([A-Za-z0-9+/]{20,}={0,2})",
        judge: hashed,
    },
    ChosenRule {
        words: &["pbkdf2"],
        pattern: r"(?i)pbkdf2[_.:$-]?(?:hmac[_-])?sha\d+[$.:]\d+[$.:][\w+/=.]+[$.:]([\w+/=.]{30,})",
        judge: hashed,
    },
    // Passwords of services.
    ChosenRule {
        words: &["login", "machine", "default"],
        pattern: r"(?i)\b(?:machine\s+\S+\s+|default\s+(?:login|account)\s+\S+\s+)(?:(?:login|account|port)\s+\S+\s+)*password\s+VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["pgpass", ":5432:", ":*:"],
        pattern: r"(?m)^[\w.*-]+:(?:\d{4,5}|\*):[\w*-]+:[\w*-]+:([^\s:]{4,})$",
        judge: uncommon,
    },
    ChosenRule {
        words: &["identified", "password"],
        pattern: r"(?i)\b(?:IDENTIFIED\s+(?:WITH\s+\S+\s+)?(?:BY|AS)|(?:ROLE|USER)\s+\S+\s+(?:\w+\s+){0,6}?(?:ENCRYPTED\s+)?PASSWORD)\s+'([^'\s]{1,200})'",
        judge: either,
    },
    // Networks.
    ChosenRule {
        words: &["network"],
        pattern: r"(?is)\bnetwork\s*=\s*\{[^}]{0,500}?[\s;{](?:psk|password|wep_key\d|sae_password|private_key_passwd)\s*=\s*(?:P?VALUE)",
        judge: uncommon,
    },
    ChosenRule {
        words: &["psk", "passphrase", "sae_password", "wep", "presharedkey"],
        pattern: r"(?im)^\s*(?:psk|wpa_passphrase|wpa_psk|sae_password|wep[_-]key\d|passphrase|presharedkey|private_key_passwd)\s*=\s*VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["wpa", "wireless-key", "wireless-psk"],
        pattern: r"(?im)^\s*(?:wpa-(?:psk|passphrase|password)|wireless-(?:key|psk)|wpa_passphrase\s+\S+)\s+VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["iwctl", "nmcli", "iwconfig"],
        pattern: r"(?im)\b(?:iwctl\b[^\n]*?--passphrase[\s=]+|nmcli\b[^\n]*?\s(?:password|wifi-sec\.psk|802-11-wireless-security\.psk)\s+|iwconfig\b[^\n]*?\skey\s+(?:s:)?)VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["private", "preshared", "wg set"],
        pattern: r#"(?i)\b(?:private|preshared)[_-]?key["']?\s*(?:[=:]|<\(echo)?\s*["']?([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)"#,
        judge: wireguard,
    },
    ChosenRule {
        words: &["static key"],
        pattern: r"(?i)-----BEGIN OpenVPN Static key V1-----\s+([0-9a-f]{32})",
        judge: private_key,
    },
    ChosenRule {
        words: &["psk", "xauth", "eap", ": rsa", ": ecdsa", ": pkcs", ": p12", ": ntlm"],
        pattern: r#"(?m)^[^\n#:]*:\s*(?:PSK|XAUTH|EAP|NTLM|(?:RSA|ECDSA|PKCS8|P12|PKCS12)\s+\S+)\s+(?:"([^"\n]+)"|(0[sx]\S+))"#,
        judge: uncommon,
    },
    ChosenRule {
        words: &["chap", "pap"],
        pattern: r#"(?im)^#[ \t][^\n]*\b(?:chap|pap)\b[^\n]*\n(?:#[^\n]*\n)*\s*\S+\s+\S+\s+VALUE"#,
        judge: either,
    },
    // Unattended installations.
    ChosenRule {
        words: &["rootpw", "sshpw"],
        pattern: r"(?im)^\s*(?:rootpw|sshpw)\b(?:\s+--(?:plaintext|allow-ssh|username[\s=]\S+))*\s+VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["--password", "--passphrase"],
        pattern: r"(?im)^\s*(?:user|bootloader|autopart|part|partition|logvol|raid|volgroup|realm|vnc)\b[^\n]*?--(?:password|passphrase|one-time-password)[\s=]+VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: SECRET,
        pattern: r#"(?im)(?:^|["'])\s*[\w-]+\s+[\w.-]+/[\w./-]*(?:passw|passphrase|wpa|wep|secret|token|psk)[\w./-]*\s+(?:password|string)\s+VALUE"#,
        judge: uncommon,
    },
    ChosenRule {
        words: &["wireless_wpa", "wireless_wep"],
        pattern: r"(?im)\bnetcfg/wireless_(?:wpa|wep)(?:=|\s+string\s+)VALUE",
        judge: uncommon,
    },
    ChosenRule { words: &["sshpass"], pattern: r"(?i)\bsshpass\s+(?:-\S+\s+)*?-p\s*VALUE", judge: uncommon },
    ChosenRule {
        words: &[
            "pass:",
            "docker login",
            "podman login",
            "ipmitool",
            "htpasswd",
            "smbclient",
            "rdesktop",
            "xfreerdp",
        ],
        pattern: r"(?i)(?:\bopenssl\b[^\n]*?\spass:|\b(?:docker|podman|buildah|helm)\b[^\n]*?\blogin\b[^\n]*?\s(?:-p|--password)[\s=]+|\bipmitool\b[^\n]*?\s-P\s+|\bhtpasswd\s+-\w*b\w*\s+\S+\s+\S+\s+|\bsmbclient\b[^\n]*?\w%|\b(?:rdesktop|xfreerdp)\b[^\n]*?\s[-/]p[ :])VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["mysql", "mariadb"],
        pattern: r"(?i)\b(?:mysql|mariadb)(?:dump|admin)?\b[^\n]*?\s(?:-p|--password=)VALUE",
        judge: either,
    },
    ChosenRule {
        words: &["cryptsetup"],
        pattern: r"(?i)\b(?:echo|printf)\s+(?:-\w+\s+)*VALUE\s*\|[^\n|]*\bcryptsetup\b",
        judge: chosen,
    },
    ChosenRule {
        words: &["password=", "pass="],
        pattern: r"(?i)\b(?:mount|cifs|smb3?|credentials|username|user)\b[^\n]{0,200}?[,\s]pass(?:word)?=VALUE",
        judge: either,
    },
    ChosenRule {
        words: &["username=", "username ="],
        pattern: r"(?im)^\s*user(?:name)?\s*=\s*\S+\s*\n(?:\s*domain\s*=[^\n]*\n)?\s*pass(?:word|wd)?\s*=\s*VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["otpauth:"],
        pattern: r"(?i)\botpauth://[^\s]*?[?&]secret=([A-Z2-7]{16,})",
        judge: token,
    },
    ChosenRule {
        words: &["\"kty\""],
        pattern: r#"(?s)"kty"\s*:\s*"[A-Za-z]+"[^}]*?"d"\s*:\s*"([\w-]{40,})""#,
        judge: private_key,
    },
    ChosenRule {
        words: &["accountkey="],
        pattern: r"(?i)AccountKey=([A-Za-z0-9+/]{86}==)",
        judge: |_| Some(FindKind::Token),
    },
    ChosenRule {
        words: &["sig="],
        pattern: r"[?&]sig=([A-Za-z0-9%+/]{43,64}(?:%3[Dd]|=))",
        judge: |_| Some(FindKind::Token),
    },
    ChosenRule {
        words: &["/api/webhooks/"],
        pattern: r"discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/([A-Za-z0-9_-]{60,80})",
        judge: |_| Some(FindKind::Token),
    },
    ChosenRule {
        words: &["\"identitytoken\""],
        pattern: r#"(?i)"identitytoken"\s*:\s*"([^"\s]{20,})""#,
        judge: |_| Some(FindKind::Token),
    },
    ChosenRule {
        words: &["bindpw", "ldap_default_authtok"],
        pattern: r"(?im)^[ \t]*(?:bindpw[ \t]+|ldap_default_authtok[ \t]*=[ \t]*)VALUE",
        judge: uncommon,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_a_password_is_none() {
        for value in ["$pw", "${pw}", "<password>", "%s", "true", "--lock", "{{ pw }}", "", "*", "xyz..."] {
            assert_eq!(chosen(value.as_bytes()), None, "{value}");
        }
        for value in ["hunter2", "correct horse", "password", "!Sommer24"] {
            assert_eq!(chosen(value.as_bytes()), Some(FindKind::Password), "{value}");
        }
    }

    #[test]
    fn examples_of_manuals_and_names_of_programs_look_like_no_secret() {
        for value in ["password", "PASSWORD", "your_password", "foo"] {
            assert_eq!(uncommon(value.as_bytes()), None, "{value}");
        }
        for value in ["get_password", "/etc/x1", "a::b2", "127.0.0.1", "abc"] {
            assert_eq!(random(value.as_bytes()), None, "{value}");
        }
        assert_eq!(random(b"hunter2"), Some(FindKind::Password));
    }
}
