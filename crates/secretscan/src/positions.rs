//! Secrets that stand behind no name of their own, but at a place: the arguments of commands, the lines of routers and
//! mail servers, what is piped into a program that asks.

use super::{
    chosen::{ChosenRule, either, hashed, random, token, uncommon},
    rules::FindKind,
    tokens,
};

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
    ChosenRule {
        words: &[" -u", " -l "],
        pattern: r"(?i)\s-[ul][ =]*[\w.@\\-]+\s(?:[^\n|;]*?\s)?-p[ =]*VALUE",
        judge: either,
    },
    ChosenRule {
        words: &[" /p ", " /rp ", "/pass:", "/p:", "/password:"],
        pattern: r"(?i)\s/(?:p|rp|pass|password)[: ]VALUE",
        judge: either,
    },
    ChosenRule {
        words: &["net use", "psk", " key ", "kdb5_util", "ipa-", "-child-password"],
        pattern: r#"(?im)(?:\bnet\s+use\s+(?:\w:\s+)?\\\\\S+\s+|\bset_network\s+\d+\s+psk\s+'?|\biw\b[^\n]*\skey\s+\d:|\bkdb5_util\b[^\n]*\s-P\s+|\bipa-\S+-install\b[^\n]*?\s-[apw]\s+)VALUE"#,
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
            "register ",
            "http-basic",
            " using ",
            "secret-set-value",
            "mgmt-user",
            "local-user",
            "add password",
            "add userpassword",
            "connect ",
        ],
        pattern: r"(?im)(?:\brabbitmqctl\s+(?:add_user|change_password|authenticate_user)\s+\S+\s+|\bradtest\s+(?:-\S+\s+\S+\s+)*\S+\s+|\bset-user-password\s+(?:--\S+\s+)*\S+\s+\S+\s+|\bnet\s+user\s+\S+\s+|\bmkpasswd\b(?:\s+-\S+(?:\s+[a-z]+-?\d*)?)*?\s+|\bopenssl\s+passwd(?:\s+-[\w-]+)*\s+|\buser\s+set\s+password\s+\d+\s+|\b(?:alias\s+set|config\s+host\s+add)\s+\S+\s+\S+\s+\S+\s+|\b(?:incoming|outgoing)user\s+\S+\s+|^\s*MONITOR\s+\S+@\S+\s+\d+\s+\S+\s+|\bregister\s+\S+\s+[\w-]+\.[\w.-]+\s+|\bhttp-basic\.\S+\s+\S+\s+|\bconnect\s+to\s+\S+\s+user\s+\S+\s+using\s+|\bsecret-set-value\s+\S+\s+(?:--\S+\s+)*|^\s*mgmt-user\s+\S+\s+\S+\s+|^\s*add\s+(?:user)?password\s+\S+\s+\{?|^\s*CONNECT\s+\w+/)VALUE",
        judge: either,
    },
    ChosenRule {
        words: &[
            "sqlconnectinfo",
            "smbpasswd",
            "reg add",
            "user-name",
            "/snmp",
            "identified",
            "networkcredential",
        ],
        pattern: r#"(?im)(?:^\s*SQLConnectInfo\s+\S+\s+\S+\s+|\bsmbpasswd\s+-w\s+|\breg\s+add\b[^\n]*?\s/v\s+"?\w*(?:pass|pwd)\w*"?\s[^\n]*?/d\s+|^\s*password\s+\w+\s+user-name\s+\S+\s+plaintext\s+|/snmp\s+community\s+(?:add|set)\b[^\n]*?\sname=|\bIDENTIFIED\s+BY\s+|\bNetworkCredential\(\s*"[^"\n]*"\s*,\s*)VALUE"#,
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
            "stdin",
            "encfs",
            "sshfs",
            "runas",
            "openconnect",
            "keepassxc",
            "clevis",
            "ecryptfs",
            "veracrypt",
            "zfs",
        ],
        pattern: r"(?im)\b(?:echo|printf)\s+(?:-\w+\s+)*(?:'%s(?:\\n)?'\s+)?VALUE(?:\\n)?\s*\|[^\n|]*\b(?:kinit|realm|login|secret|sudo\s+-S|luks\w+|gpg\d?|usermod|ktutil|openssl|smbpasswd|su|vncpasswd|htpasswd|zfs|ecryptfs\S*|veracrypt|encfs|sshfs|runas|openconnect|ocpasswd|saslpasswd2?|keepassxc-cli|adcli|[\w-]*stdin|[\w-]*passwd)\b",
        judge: uncommon,
    },
    ChosenRule {
        words: &["<<<"],
        pattern: r"(?im)^[^\n#]*\b(?:cryptsetup|kinit|realm|login|secret|sudo|gpg\d?|usermod|ktutil|openssl|smbpasswd|passwd|addent|adcli|su|[\w-]*stdin[\w-]*)\b[^\n]*<<<\s*VALUE",
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
    ChosenRule {
        words: &["login(", "credential", "auth(", "authenticate(", "connect("],
        pattern: r#"(?i)(?:login|credentials?|auth|authenticate|connect)\(\s*(?:["'][^"'\n]*["']\s*,\s*){1,3}["']([^"'\s]{6,200})["']\s*\)"#,
        judge: random,
    },
    ChosenRule {
        words: &["passwordeval", "passcmd", "password_command", "passwd.cmd"],
        pattern: r#"(?i)(?:passwordeval|passcmd|password_command|passwd\.cmd)\s*=?\s*["']?(?:echo|printf)\s+VALUE"#,
        judge: uncommon,
    },
    ChosenRule {
        words: &["_auth", "authentication ", "credentials", "allow "],
        pattern: r#"(?im)(?:_auth|\b(?:\w*_)?(?:auth|authentication|credentials|allow))["']?\s{0,3}[=: ]\s{0,3}["']?[\w.@-]+[:/]([^\s"'/:]{6,200})(?:["'\s]|$)"#,
        judge: either,
    },
    // Tables with a head.
    ChosenRule {
        words: &["user", "login", "account"],
        pattern: r#"(?im)^"?[\w ]*(?:user|login|account|e?mail)[\w ]*"?[,;\t]\s*"?\w*pass\w*"?(?:[,;\t][^\n]*)?\n"?[^",;\t\n]+"?[,;\t]\s*"?([^\s",;]{6,200})"#,
        judge: either,
    },
    ChosenRule {
        words: &["password |", "passwd |", "passphrase |", "secret |"],
        pattern: r"(?im)^\|[^\n|]*\|\s*(?:password|passwd|passphrase|secret)\s*\|[^\n]*\n\|[-| :]+\n\|[^\n|]*\|\s*`?([^\s|`]{6,200})`?\s*\|",
        judge: either,
    },
    ChosenRule { words: &["wifi:"], pattern: r"\bWIFI:(?:[A-Z]:[^;\n]*;)*?P:([^;\n]+);", judge: uncommon },
    ChosenRule { words: &["apa91b"], pattern: r"\b(AAAA[\w-]{7}:APA91b[\w-]{100,})", judge: secret },
    ChosenRule {
        words: &["erlang_cookie", "setcookie", "auth-pass", "securestring", "$user", "-oauth"],
        pattern: r#"(?im)(?:\b\w*erlang_cookie["']?[\s=:]+|-setcookie\s+|\bauth-pass\s+\S+\s+|\bSecureString\s+(?:-String\s+)?|^\s*\$USER\d+\$\s*=\s*|"\w+-oauth"\s*:\s*\{\s*"[^"]+"\s*:\s*)VALUE"#,
        judge: either,
    },
    ChosenRule {
        words: &["variable \""],
        pattern: r#"(?i)\bvariable\s+"\w*(?:passw|passphrase|secret|token|psk)\w*"\s*\{[^}]*?\bdefault\s*=\s*"([^"\n]+)""#,
        judge: either,
    },
    ChosenRule {
        words: &["crypt"],
        pattern: r#"\bcrypt\s*\(?\s*["']([^"'\n]{6,})["']\s*,?\s*["']\$\d"#,
        judge: either,
    },
    ChosenRule {
        words: &[":::", ":[u", ":xxxxxxxx", "aad3b435"],
        pattern: r"(?i):\d+:(?:[0-9A-F]{32}|X{32}|\*{32}):([0-9A-F]{32}):",
        judge: hashed,
    },
    ChosenRule {
        words: &["scram-sha-"],
        pattern: r"SCRAM-SHA-(?:1|256)\$\d+:[\w+/=]+\$[\w+/=]{20,}:([\w+/=]{20,})",
        judge: hashed,
    },
    ChosenRule {
        words: &["ss://"],
        pattern: r"\bss://([A-Za-z0-9+/=]{16,})@",
        judge: |value| tokens::is_account(value).then_some(FindKind::Password),
    },
    ChosenRule { words: &["/bot"], pattern: r"/bot\d{8,10}:(AA[\w-]{32,34})\b", judge: secret },
];
