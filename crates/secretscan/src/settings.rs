//! Settings of any program that hold a secret: a name whose words say so, in the notation of any kind of file, and a
//! value that looks like nothing else (`values.rs`).

use super::{
    rules::{FindKind, MatchContext, RuleCheck, run, skip},
    values::{Form, Named, Value, is_in, is_secret},
};

/// Words that stand in the names, and the check.
pub(super) const WORDS: &[(&[u8], RuleCheck)] = &[
    (b"pass", setting),
    (b"pw", setting),
    (b"psk", setting),
    (b"kennwort", setting),
    (b"authtok", setting),
    (b"masterauth", setting),
    (b"community", setting),
    (b"secret", setting),
    (b"token", setting),
    (b"key", setting),
    (b"encrypt", setting),
];

/// How the last word of a name ends.
const PASSWORDS: &str = "\
    password passwords passwd passphrase passcode passwort kennwort pass pwd bindpw rootpw sshpw userpw adminpw dbpw psk authtok masterauth \
    community";
const TOKENS: &str = "secret token apikey secretkey authkey accesskey privatekey";
/// What stands before `key` when it is to be kept.
const OF_KEYS: &str = "\
    access account activation admin api application auth authentication client consumer encryption enrollment \
    hmac jwt license master network preshared private secret session shared signing storage wpa user service \
    server registration integration validation";
/// Other words with such an end, and what makes a name one of something public.
const OTHERS: &str = "\
    bypass compass trespass surpass multipass lowpass highpass bandpass public pub integrity checksum";
/// What may follow in a name.
const SUFFIXES: &str = "again in out plain plaintext clear value text data b64 base64 base literal";
/// What stands between a word and its value in lines that have no sign between them.
const BETWEEN: &str = "plain plaintext ascii-text md5 string password is is: = simple cipher manager";

/// Words that begin a line in which such a word is followed by its value.
const VERBS: &str = "\
    add area-password auth config crypto edit enable env export ip ipsec ipv6 isis login neighbor option param \
    ppp radius-server router secret sentinel set setenv snmp-server standby tacacs-server user username vrrp \
    xauth change racadm local-user";

fn setting(a: &MatchContext<'_>) -> Option<FindKind> {
    if !a.is_text || a.is_program {
        return None;
    }
    // No further than a name may be long: a text may be one word.
    let end = a.after.iter().take(41).take_while(|b| is_name(b)).count();
    let rest = &a.after[end..];
    let start = a.before.len() - a.before.iter().rev().take(81).take_while(|b| is_name(b)).count();
    // Most words are prose, which is seen at once.
    if end > 40 || a.before.len() - start > 80 || rest.first().is_none_or(|b| b".;!?".contains(b)) {
        return None;
    }
    let name = [&a.before[start..], a.word, &a.after[..end]].concat();
    // `PASS: name-of-a-test`
    if name == b"PASS" && rest.starts_with(b":") {
        return None;
    }
    let named = named(std::str::from_utf8(&name).ok()?)?;
    let option = name.starts_with(b"-");
    let before = &a.before[..start];
    let code = || is_code(before) || is_code(rest);
    candidates(before, rest, option).iter().find_map(|value| is_secret(named, value, code))
}

fn is_name(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')
}

/// The words of a name: `dbPassword`, `DB_PASSWORD`, `db.password`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || c.is_ascii_uppercase() && was_small {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_ascii_alphanumeric()) {
            word.push(c.to_ascii_lowercase());
        }
        was_small = c.is_ascii_lowercase();
    }
    words.retain(|w| !w.is_empty());
    words
}

fn ends_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|end| word.ends_with(end))
}

/// What a name says of its value.
fn named(name: &str) -> Option<Named> {
    let mut words = words(name);
    // Of a wireless network, as Windows calls it.
    if words.ends_with(&["key".to_owned(), "material".to_owned()]) {
        return Some(Named::Password);
    }
    if words.iter().any(|w| is_in(OTHERS, w)) {
        return None;
    }
    while words.len() > 1 && words.last().is_some_and(|w| is_in(SUFFIXES, w) || w.parse::<u8>().is_ok()) {
        words.pop();
    }
    let last = words.pop()?;
    let last = last.trim_end_matches(|c: char| c.is_ascii_digit());
    let of = words.last().map_or("", String::as_str);
    if ends_in(PASSWORDS, last) || last == "pw" {
        Some(Named::Password)
    } else if ends_in(TOKENS, last) || last == "key" && is_in(OF_KEYS, of) {
        Some(Named::Token)
    } else {
        (last == "key" || last == "encrypt").then_some(Named::Key)
    }
}

/// What may be the value of a name between `before` and `rest`.
fn candidates(before: &[u8], rest: &[u8], option: bool) -> Vec<Value> {
    let closed = &rest[run(rest, |b| b"\\\"'`])".contains(b)).min(3)..];
    let is_closed = closed.len() < rest.len();
    let gap = run(closed, |b| matches!(b, b' ' | b'\t'));
    let next = &closed[gap..];
    if let Some(value) = behind_sign(next) {
        return assigned(value);
    }
    let found = match next.first() {
        Some(b'(') if !is_closed => call(next),
        Some(b'<') if before.ends_with(b">") => element(next),
        _ if is_tag(before) => element(next),
        _ if is_closed || next.starts_with(b"\n") || next.starts_with(b"\r") => pair(before, next),
        _ if gap > 0 => directive(before, next, option),
        _ => None,
    };
    found.into_iter().collect()
}

/// Whether an element's name stands behind it, with its namespace.
fn is_tag(before: &[u8]) -> bool {
    let space = before.strip_suffix(b":").unwrap_or(before);
    space[..space.len() - space.iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count()]
        .ends_with(b"<")
        && (before.ends_with(b"<") || before.ends_with(b":"))
}

/// What follows the sign that gives a name its value.
fn behind_sign(bytes: &[u8]) -> Option<&[u8]> {
    let sign = [&b":="[..], b":-", b"=>", b"?=", b"=", b":"].into_iter().find(|s| bytes.starts_with(s))?;
    let value = &bytes[sign.len()..];
    let compares = value.first().is_some_and(|b| b"=:~".contains(b));
    (!compares).then(|| skip(value, b" \t"))
}

/// In quotes, in a list or a block, behind a type, or bare: its first word, and the whole line.
fn assigned(value: &[u8]) -> Vec<Value> {
    let inner = skip(value, b"[(<");
    if let Some(text) = quoted(inner) {
        return vec![text];
    }
    let block = value.strip_prefix(b"|").or_else(|| value.strip_prefix(b">")).map(|v| skip(v, b"-+ \r\n\t"));
    let value = block.unwrap_or(value);
    let line = line(value);
    if let Some((kind, text)) = line.split_once(" = ")
        && !kind.contains(' ')
    {
        return quoted(text.trim_start().as_bytes()).into_iter().collect();
    }
    let mut values: Vec<Value> = bare(value).into_iter().collect();
    let text = line.split(" #").next().unwrap_or_default().trim_end_matches([';', ',', '"', '\'']).trim_end();
    if text.contains(' ') {
        values.push(Value { text: text.to_owned(), form: Form::Line });
    }
    values
}

/// `<password>x</password>`, with attributes or an element in between, and `<key>password</key><string>x</string>`.
fn element(next: &[u8]) -> Option<Value> {
    let end = memchr::memchr(b'>', &next[..next.len().min(120)])?;
    let inner = skip(&next[end + 1..], b" \t\r\n");
    let inner = match inner.strip_prefix(b"<") {
        Some(tag) => &tag[memchr::memchr(b'>', &tag[..tag.len().min(40)])? + 1..],
        None => inner,
    };
    let text = &inner[..memchr::memchr(b'<', &inner[..inner.len().min(220)])?];
    let ends = inner[text.len()..].starts_with(b"</");
    let text = std::str::from_utf8(text).ok()?.trim();
    (ends && !text.contains('\n')).then(|| Value { text: text.to_owned(), form: Form::Quoted })
}

/// `password("x")`, with nothing else in the brackets.
fn call(next: &[u8]) -> Option<Value> {
    let value = quoted(skip(&next[1..], b" "))?;
    let end = next.windows(2).position(|w| matches!(w, [b'"' | b'\'', b')']))?;
    (end <= value.text.len() + 3 && !value.text.contains(' ')).then_some(value)
}

/// The name is a value itself: `name="password" value="x"`, `name: PASSWORD` and `value: x` in the next line,
/// `define('PASSWORD', 'x')`.
fn pair(before: &[u8], next: &[u8]) -> Option<Value> {
    if before.last().is_some_and(|b| matches!(b, b'/' | b'@')) {
        return None;
    }
    let called = matches!(before, [.., b'(', b'"' | b'\''] | [.., b'(', b' ', b'"' | b'\'']);
    let next = skip(next, b" \t\r\n,");
    let word = run(next, u8::is_ascii_alphabetic);
    let other = next.strip_prefix(b"\"").unwrap_or(next);
    if other.get(..5).is_some_and(|w| w.eq_ignore_ascii_case(b"value")) {
        let value = behind_sign(skip(&other[5..], b"\" \t"))?;
        return assigned(value).into_iter().next();
    }
    if word == 0 && called { quoted(next) } else { None }
}

/// `password x` in a line of its own or behind other words, as daemons, routers and options have it.
fn directive(before: &[u8], next: &[u8], option: bool) -> Option<Value> {
    let mut next = next;
    loop {
        let word = run(next, |b| !b.is_ascii_whitespace());
        let text = std::str::from_utf8(&next[..word]).ok()?;
        let number = text.len() == 1 && text.starts_with(|c: char| c.is_ascii_digit());
        if word == 0 || !number && !is_in(BETWEEN, text) {
            break;
        }
        next = skip(&next[word..], b" \t");
    }
    if !next.starts_with(b"`")
        && let Some(value) = quoted(next)
    {
        return Some(value);
    }
    let value = bare(next)?;
    let behind = line(&next[value.text.len().min(next.len())..]);
    let before = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let before = String::from_utf8_lossy(before);
    let verb = before.split_whitespace().next().map(|v| v.trim_matches('/').to_ascii_lowercase());
    let known = verb.is_none_or(|v| is_in(VERBS, &v));
    let sentence = before.contains(['$', '`', ';']) || behind.split_whitespace().count() > 2;
    (option || known && !sentence).then_some(value)
}

/// What stands in quotes, which may be escaped, or have a letter before them.
fn quoted(bytes: &[u8]) -> Option<Value> {
    let bytes = match bytes {
        [b'b' | b'u' | b'r' | b'@' | b'L', rest @ ..]
            if rest.starts_with(b"\"") || rest.starts_with(b"'") =>
        {
            rest
        }
        _ => bytes,
    };
    let inner = bytes.strip_prefix(b"\\").unwrap_or(bytes);
    let quote = *inner.first().filter(|b| b"\"'`".contains(b))?;
    let text = &inner[1..];
    let end = run(text, |b| *b != quote && *b != b'\n').min(200);
    let text = std::str::from_utf8(&text[..end]).ok()?.trim_end_matches('\\');
    (inner.get(1 + end) == Some(&quote)).then(|| Value { text: text.to_owned(), form: Form::Quoted })
}

/// A word that no bracket follows, as behind the name of a function.
fn bare(bytes: &[u8]) -> Option<Value> {
    let ends = |b: &u8| b.is_ascii_whitespace() || b"\"'`;,&|<>(){}[]\\".contains(b);
    let length = run(bytes, |b| !ends(b)).min(200);
    let called = bytes.get(length).is_some_and(|b| b"([{".contains(b));
    let text = std::str::from_utf8(&bytes[..length]).ok()?;
    (!called && length > 0).then(|| Value { text: text.to_owned(), form: Form::Bare })
}

fn line(bytes: &[u8]) -> String {
    let end = run(bytes, |b| !matches!(b, b'\n' | b'\r')).min(250);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Whether a program stands there, in which what looks like a phrase is a name.
fn is_code(bytes: &[u8]) -> bool {
    const SIGNS: &[&str] = &[
        "#include", "import ", "def ", "function", "return", "self.", "();", "if (", "const ", "public ",
        "sub ", "my $", "printf", "fn ", "class ", "->", "else", " == ", "&&", "assert", "expect(", "this.",
        "/**", " * ", "require(",
    ];
    SIGNS.iter().any(|s| memchr::memmem::find(bytes, s.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<FindKind> {
        let lower = text.to_ascii_lowercase();
        let places = WORDS
            .iter()
            .flat_map(|(w, _)| memchr::memmem::find_iter(lower.as_bytes(), *w).map(|at| (at, w.len())));
        let bytes = text.as_bytes();
        let mut finds = places.filter_map(|(at, length)| {
            setting(&MatchContext {
                before: &bytes[..at],
                word: &bytes[at..at + length],
                after: &bytes[at + length..],
                is_text: true,
                is_program: false,
            })
        });
        finds.next()
    }

    #[test]
    fn a_secret_is_found_in_every_notation() {
        for text in [
            "requirepass velvet-anchor-copper\n",
            "db_password = velvet anchor copper willow\n",
            "{\"adminPassword\": \"velvet anchor copper\"}",
            "'smtp_password' => 'Lantern1987',",
            "<keyMaterial>velvet anchor copper</keyMaterial>",
            "<dbPassword type=\"x\">velvetanchorcopper</dbPassword>",
            "<Password>\n  <Value>Lantern1987</Value>",
            "<key>Password</key>\n<string>Lantern1987</string>",
            "<param name=\"password\" value=\"Lantern1987\"/>",
            "- name: DB_PASSWORD\n  value: Lantern1987\n",
            "define('DB_PASSWORD', 'Lantern1987');",
            "app --db-password Lantern1987 --port 80",
            "username bob privilege 15 password 0 Lantern1987\n",
            "const password: &str = \"Lantern1987\";",
            "password: |\n  velvet.anchor.copper\n",
            "\"password\":[\"Lantern1987\"]",
        ] {
            assert_eq!(found(text), Some(FindKind::Password), "{text}");
        }
        for text in
            ["shared_secret = VelvetAnchorCopper\n", "key = AQBvZ2hKc3V4RUFBaGd5Qm9kWXZ2NXpIcGx3Zw==\n"]
        {
            assert_eq!(found(text), Some(FindKind::Token), "{text}");
        }
    }

    #[test]
    fn prose_and_programs_are_no_secrets() {
        for text in [
            "password: ask the administrator of your network\n",
            "\"password\": \"Enter your password\"",
            "password = get_password(user1)",
            "password == other_password1",
            "token = self.next_token2",
            "def login(password: str = None):\n    pass\n",
            "#define ES_PASSWORD 0x0020L\n",
            "import x\nsecret = parser_inner_loop\n",
            "\"scram\", \"password\", \"scram-sha-256\"",
            "apt\tpasswd\t1:4.13+dfsg1-1\n",
            "public_key = AQBvZ2hKc3V4RUFBaGd5Qm9kWXZ2NXpIcGx3Zw==\n",
            "bypass = Lantern1987\n",
            "password_file = Lantern1987\n",
            "community edition v2\n",
            "secretName: copper-tls-cert\n",
            "password 4-kill-who\n",
            "PASS: substitutes-within-limit\n",
            "hashedPassword = base64_encoded_64_byte_salt\n",
            "You pass images of type <code>S3Object</code>",
            "pass `asn1Spec` to guide it\n",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
