//! Secrets that stand behind no name of their own, but at a place: the arguments of commands, the lines of routers and
//! mail servers, what is piped into a program that asks.

use super::{
    chosen::{ChosenRule, hashed, random, token, uncommon},
    rules::FindKind,
    values::{Form, Named, Value, is_secret},
};

/// Random, or a phrase.
fn either(value: &[u8]) -> Option<FindKind> {
    let text = String::from_utf8_lossy(value).into_owned();
    is_secret(Named::Password, &Value { text, form: Form::Bare }, || false)
}

fn secret(_: &[u8]) -> Option<FindKind> {
    Some(FindKind::Token)
}

fn hexadecimal(value: &[u8]) -> Option<FindKind> {
    let many = value.iter().filter(|b| b.is_ascii_digit()).count() > 4;
    many.then_some(FindKind::Token)
}

pub(super) const RULES: &[ChosenRule] = &[
    // Arguments that other programs call by other letters.
    ChosenRule {
        words: &["ldapsearch", "ldapadd", "ldapmodify", "ldapwhoami", "ldapdelete", "ldappasswd"],
        pattern: r"(?i)\bldap\w+\b[^\n|]*?\s-w\s*VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &[
            "redis-cli",
            "snmp",
            "mosquitto_",
            "kadmin",
            "crm_",
            "pcs ",
            "keytool",
            "influx",
            "lftp",
            "mongo",
            "bcp ",
            "sqlcmd",
            "isql",
            "amqp-",
            "nmblookup",
            "winexe",
            "psexec",
            "fence_",
            "apcupsd",
            "sendemail",
            "swaks",
            "7z ",
            "unzip",
            "zip ",
            "rar ",
            "unrar",
        ],
        pattern: r#"(?i)(?:\bredis-cli\b[^\n|]*?\s-a\s+|\bsnmp(?:walk|get|getnext|set|bulkwalk|bulkget|table|trap|inform|status|test)\b[^\n|]*?\s-[cAX]\s*|\bmosquitto_[a-z]+\b[^\n|]*?\s-P\s+|\bkadmin\S*\b[^\n|]*?\s-(?:pw|w)\s+|\bpcs\b[^\n|]*?\s-p\s+|\bkeytool\b[^\n|]*?\s-(?:storepass|keypass)\s+|\blftp\b[^\n|]*?\s-u\s+[^\s,]+,|\bmongo\w*\b[^\n|]*?\s-p\s*|\b(?:sqlcmd|bcp)\b[^\n|]*?\s-P\s*|\bisql\b\s+\S+\s+\S+\s+|\bfence_\w+\b[^\n|]*?\s-p\s+|\bswaks\b[^\n|]*?\s-ap\s+|\b(?:7z\w?|rar|unrar)\s+\w+\s+(?:-\S+\s+)*-h?p|\b(?:un)?zip\b[^\n|]*?\s-P\s+)VALUE"#,
        judge: either,
    },
    // A user and a password with a sign between them.
    ChosenRule {
        words: &[
            "curl",
            "etcdctl",
            "--user",
            "check_http",
            "stats auth",
            "login=",
            "--basic",
            "http --auth",
            "--http-user",
        ],
        pattern: r#"(?i)(?:\bcurl\b[^\n|]*?\s(?:-\w*u|--user|--proxy-user|-U)[\s=]*["']?[\w.@+-]+:|\betcdctl\b[^\n|]*?--user[\s=]+[\w.-]+:|\bcheck_http\b[^\n|]*?\s-a\s+["']?[\w.-]+:|\bstats\s+auth\s+[\w.-]+:|\s(?:proxy_)?login=[\w.-]+:|--auth[\s=]+[\w.-]+:)([^\s"':/]{6,200})(?:["'\s]|$)"#,
        judge: either,
    },
    ChosenRule {
        words: &["user =", "user=", "sqlplus", "smtp.", "mail.", "relay", ":587", ":465", "bundle_"],
        pattern: r#"(?im)(?:^\s*user\s*=\s*["']?[\w.@+-]+:|\bsqlplus\s+[\w.]+/|^\s*\[?[\w.*-]*(?:smtp|mail|relay)[\w.-]*\]?(?::\d+)?[\s:]+[\w.@+-]+:|^\s*\[[\w.-]+\]:\d+\s+[\w.@+-]+:|^\s*BUNDLE_\w+:\s*["']?[\w.-]+:)([^\s"':/@]{6,200})(?:["'@\s]|$)"#,
        judge: either,
    },
    ChosenRule {
        words: &["@"],
        pattern: r"(?m)^[\w.-]+[ \t]+[\w.+-]+@[\w-]+\.[\w.-]+:(\S{6,200})$",
        judge: either,
    },
    // In the order in which a command takes them.
    ChosenRule {
        words: &[
            "rabbitmqctl",
            "radtest",
            "set-user-password",
            "net user",
            "mkpasswd",
            "openssl passwd",
            "user set password",
            "alias set",
            "config host add",
            "net rpc",
            "userpass",
            "vncpasswd",
            "incominguser",
            "outgoinguser",
            "monitor ",
        ],
        pattern: r"(?im)(?:\brabbitmqctl\s+(?:add_user|change_password|authenticate_user)\s+\S+\s+|\bradtest\s+(?:-\S+\s+\S+\s+)*\S+\s+|\bset-user-password\s+(?:--\S+\s+)*\S+\s+\S+\s+|\bnet\s+user\s+\S+\s+|\bmkpasswd\b(?:\s+-\S+(?:\s+[a-z]+-?\d*)?)*?\s+|\bopenssl\s+passwd(?:\s+-[\w-]+)*\s+|\buser\s+set\s+password\s+\d+\s+|\b(?:alias\s+set|config\s+host\s+add)\s+\S+\s+\S+\s+\S+\s+|\b(?:incoming|outgoing)user\s+\S+\s+|^\s*MONITOR\s+\S+@\S+\s+\d+\s+\S+\s+)VALUE",
        judge: either,
    },
    ChosenRule {
        words: &["virt-", "guestfish", "secret,"],
        pattern: r"(?i)(?:\bvirt-\w+\b[^\n|]*?\s\S*password:|-object\s+secret,[^\s]*?\bdata=|--secret\s+\S*?\bdata=)(?:password:)?([^\s:,]{6,200})",
        judge: either,
    },
    // What is given to a program that asks.
    ChosenRule {
        words: &[
            "kinit",
            "realm",
            "login",
            "secret",
            "sudo -s",
            "luks",
            "cryptsetup",
            "gpg",
            "usermod",
            "ktutil",
            "openssl",
            "smbpasswd",
            "su -",
            "vncpasswd",
            "htpasswd",
            "passwd",
            "clevis",
            "ecryptfs",
            "veracrypt",
            "zfs",
        ],
        pattern: r"(?im)\b(?:echo|printf)\s+(?:-\w+\s+)*(?:'%s(?:\\n)?'\s+)?VALUE(?:\\n)?\s*\|[^\n|]*\b(?:kinit|realm|login|secret|sudo\s+-S|luks\w+|gpg\d?|usermod|ktutil|openssl|smbpasswd|su|vncpasswd|htpasswd|zfs|ecryptfs\S*|veracrypt)\b",
        judge: uncommon,
    },
    ChosenRule {
        words: &["<<<"],
        pattern: r"(?im)^[^\n#]*\b(?:cryptsetup|kinit|realm|login|secret|sudo|gpg\d?|usermod|ktutil|openssl|smbpasswd|passwd|addent|su)\b[^\n]*<<<\s*VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["<auth-user-pass>"],
        pattern: r"<auth-user-pass>\s*\n\S+\s*\n([^\s<]+)",
        judge: uncommon,
    },
    ChosenRule {
        words: &["assword:", "assphrase"],
        pattern: r#"(?i)\bsend\s+(?:--\s+)?"([^"\\\n$]+)\\[rn]""#,
        judge: either,
    },
    // Routers and switches.
    ChosenRule {
        words: &["tacacs", "radius", "isakmp", "key-string", "message-digest-key"],
        pattern: r"(?im)^\s*(?:(?:tacacs|radius)-server\b[^\n]*?\skey\s+(?:\d\s+)?|(?:tacacs|radius)\s+server\s[^\n]*\n(?:\s[^\n]*\n){0,4}?\s+key\s+(?:\d\s+)?|crypto\s+isakmp\s+key\s+(?:\d\s+)?|key-string\s+(?:\d\s+)?|(?:ip\s+ospf\s+)?message-digest-key\s+\d+\s+md5\s+(?:\d\s+)?)VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["secret ", "password ", "key "],
        pattern: r"(?im)^\s*(?:enable|username|neighbor|key-string|key|password|snmp-server|tacacs-server|radius-server)\b[^\n]{0,80}?\b(?:secret|password|key|key-string)\s+[4-9]\s+(\S{8,})",
        judge: hashed,
    },
    ChosenRule { words: &["\"$9$"], pattern: r#""\$9\$([\w./-]{6,})""#, judge: hashed },
    ChosenRule {
        words: &["createuser", "com2sec", "snmpuser"],
        pattern: r#"(?im)^\s*(?:createUser\s+(?:-e\s+\S+\s+)?\S+\s+(?:MD5|SHA\S*)\s+|com2sec6?\s+(?:-Cn\s+\S+\s+)?\S+\s+\S+\s+)VALUE"#,
        judge: uncommon,
    },
    ChosenRule {
        words: &["wifi-iface"],
        pattern: r"(?i)\bwifi-iface\b[^\n]*\n(?:\s+option\s[^\n]*\n){0,12}?\s+option\s+key\s+VALUE",
        judge: uncommon,
    },
    // Peers.
    ChosenRule {
        words: &[" * "],
        pattern: r#"(?m)^(?:"[^"\n]+"|[\w.@\\-]+)[ \t]+\*[ \t]+VALUE(?:[ \t]+(?:\*|\d[\d.]+))?[ \t]*$"#,
        judge: either,
    },
    ChosenRule {
        words: &["shared_secret", "shared secret"],
        pattern: r"(?im)^#[^\n]*shared[_ ]secret[^\n]*\n(?:#[^\n]*\n)*[\w.:\[\]-]+\s+VALUE(?:\s+\d+)?\s*$",
        judge: uncommon,
    },
    ChosenRule {
        words: &["user "],
        pattern: r"(?m)^\s*(?:ACL\s+SETUSER|user)\s+\S+\s+(?:[^\n>]*\s)?>(\S{6,})",
        judge: either,
    },
    ChosenRule {
        words: &["default_pass", "new pdo", "new mysqli", "mysqli_connect", "mysql_connect", "pg_connect"],
        pattern: r#"(?i)(?:default_pass\s*,\s*<<|\bnew\s+(?:PDO|mysqli)\(\s*["'][^"'\n]*["']\s*,\s*["'][^"'\n]*["']\s*,\s*|\bmysqli?_connect\(\s*["'][^"'\n]*["']\s*,\s*["'][^"'\n]*["']\s*,\s*)VALUE"#,
        judge: uncommon,
    },
    // Kept by programs.
    ChosenRule {
        words: &["$ansible_vault;"],
        pattern: r"(?m)\$ANSIBLE_VAULT;[^\n]*\s+([0-9a-f]{60,})",
        judge: |_| Some(FindKind::PrivateKey),
    },
    ChosenRule {
        words: &["random_password"],
        pattern: r#"(?is)"random_password".{0,500}?"result"\s*:\s*"([^"]+)""#,
        judge: |_| Some(FindKind::Password),
    },
    ChosenRule {
        words: &["totp_auth", "rate_limit", "window_size"],
        pattern: r#"\b([A-Z2-7]{16,64})\s*\n" "#,
        judge: secret,
    },
    ChosenRule {
        words: &[":0:"],
        pattern: r"\b[0-9a-f]{10}:0:[0-9a-f]{128}:([0-9a-f]{128})",
        judge: |_| Some(FindKind::PrivateKey),
    },
    ChosenRule {
        words: &["tokens"],
        pattern: r#"(?i)\btokens["']?\s*[:=]?\s*\{[^}]{0,300}?["']?(?:default|agent|master|initial_management|replication)["']?\s*[=:]\s*"([0-9a-f-]{36})""#,
        judge: secret,
    },
    ChosenRule {
        words: &["crypt_key", "luks"],
        pattern: r"(?i)<crypt_key>([^<]{6,})<|\bluks:\s*\n(?:[^\n]*\n){0,4}?\s+key_?file:\s*\n\s+inline:\s*VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["credentials"],
        pattern: r"<(?:password|passphrase|secret|apiToken|privateKey)>\{(AQAAA[A-Za-z0-9+/=]{16,})\}<",
        judge: secret,
    },
    ChosenRule {
        words: &["apikeys"],
        pattern: r"(?is)<apikeys>\s*<item>.{0,300}?<key>([^<]{20,})</key>",
        judge: secret,
    },
    ChosenRule {
        words: &["activationkey", "authkey"],
        pattern: r"(?i)--(?:activationkey|authkey|auth-key)[\s=]+VALUE",
        judge: either,
    },
    ChosenRule {
        words: &["root account"],
        pattern: r"(?im)^\s*Password for \w+ account\s*=\s*VALUE",
        judge: uncommon,
    },
    ChosenRule {
        words: &["hex:"],
        pattern: r"(?m)^\s*(?:\d+\s+\S+\s+HEX:)([0-9A-Fa-f]{16,})",
        judge: hexadecimal,
    },
    ChosenRule {
        words: &["webhookb2"],
        pattern: r"(?i)\.webhook\.office\.com/webhookb2/[\w@-]+/IncomingWebhook/([0-9a-f]{32})/",
        judge: token,
    },
    ChosenRule {
        words: &["_auth"],
        pattern: r"(?m)(?:^|:)_auth\s*=\s*([A-Za-z0-9+/]{8,}={0,2})\s*$",
        judge: random,
    },
];
