//! What the value of a setting looks like when it is a secret: letters with digits, or words that make no sentence.

use super::{
    chosen::{random, token, uncommon},
    forms::entropy,
    rules::FindKind,
};

/// What a name says of its value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Named {
    Password,
    Token,
    /// Only what is clearly a key is one.
    Key,
}

/// How a value stands there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    Quoted,
    Bare,
    /// The rest of a line, with spaces in it.
    Line,
}

/// What may be the value of a setting.
pub(super) struct Value {
    pub(super) text: String,
    pub(super) form: Form,
}

/// Words of sentences about secrets, none of which is in a phrase that somebody chose as one.
const PROSE: &str = "\
    about after all also and any api are authentication authorization been before but can cannot certificate \
    changed changeme confirm contains credential credentials default does enter example for forgot from get has \
    have here http https if incorrect invalid its key keys let login may missing more must new not null only \
    optional other passphrase passwd password passwords placeholder please private public require required \
    reset same sample secret secrets see set should some test testing than that the then these this token \
    tokens too undefined unless use used user username users using valid was when which will with without wrong \
    you your";
/// Words of which programs make names: a phrase has few of them.
const TECHNICAL: &str = "\
    access account action add admin announcements anonymous app array auth backend base basic bearer bind body \
    bool build bytes cache callback camera category cert change channel channels check choose class client \
    cluster code com command config confirmation connection consumer context controller cookie copy create \
    current custom data database date decode delete demo description details device directory display document \
    domain download driver element email empty enabled base64 byte encoded salt encrypted end engine entry environment error \
    event exists expired export expression external factory failed field file files filter find first folder \
    form format function generate generated github gitlab global group guest handler hash header hello hidden \
    home host hostname html identifier identity image import index info init input insert instance integration \
    interface internal introduced issue item java job json jwt kernel kind label language later layer length \
    level line list local logged logger long main manager master match message metadata method mode model \
    module monitor name namespace net network next node notes nothing number object old open operator option \
    org output owner package page parameter params parent parse parser path pattern permission plain plugin \
    policies policy port print process product profile project property protocol provided provider proxy push \
    put query queue random read record reference refresh regex region registry release remove repeat replace \
    request resource resources response result return role root route rule schema scope script section security \
    select selector server service session settings show signature signed simple size source space spec special \
    start state status store stream string structure style subject submit supply svc symbol system table tag \
    target task template text thread through time timeout title tls tool track transport tree trust try type \
    under unique unit unknown update upload url validation value values variable verify version view visible \
    volume warning web webhook widget window word worker workspace write www xml yaml yes";

/// Whether a list of words has this one.
pub(super) fn is_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|w| w.eq_ignore_ascii_case(word))
}

/// Whether words say something, or name something.
fn is_prose(words: &[&str]) -> bool {
    let technical = words.iter().filter(|w| is_in(TECHNICAL, w)).count();
    technical * 2 >= words.len() || words.iter().any(|w| is_in(PROSE, w))
}

/// Whether the value of what is so named is a secret; `code` tells whether it stands in a program.
pub(super) fn is_secret(named: Named, value: &Value, code: impl Fn() -> bool) -> Option<FindKind> {
    let text = value.text.trim_matches(['"', '\'']).as_bytes();
    if is_number(&value.text) || is_sentence(&value.text, ' ') || is_sentence(&value.text, '_') {
        return None;
    }
    match named {
        Named::Key => is_key(&value.text).then_some(FindKind::Token),
        Named::Password if value.form != Form::Line && random(text).is_some() => random(text),
        Named::Token if value.form != Form::Line && token(text).is_some() => token(text),
        Named::Token if is_key(&value.text) => Some(FindKind::Token),
        Named::Token if is_mixed(text) && !code() => uncommon(text).map(|_| FindKind::Token),
        Named::Password if value.form == Form::Quoted && is_base64(&value.text) => Some(FindKind::Password),
        Named::Password if is_phrase(value, &code) => uncommon(text),
        Named::Token if is_phrase(value, &code) => uncommon(text).map(|_| FindKind::Token),
        _ => None,
    }
}

/// As [`is_secret`], where the place alone says that it is a password.
pub(super) fn phrase_or_random(text: &str) -> Option<FindKind> {
    is_secret(Named::Password, &Value { text: text.to_owned(), form: Form::Bare }, || false)
}

/// A number of a program, or a name for one; a number and words, as in `2-factor`.
fn is_number(text: &str) -> bool {
    let counted = text.split_once('-').is_some_and(|(number, words)| {
        number.parse::<u8>().is_ok() && words.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    let constant = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'_' | b'+');
    counted
        || text.starts_with("0x")
        || text.starts_with("0X")
        || text.contains('_') && text.bytes().all(constant)
}

/// Words that say or name something, with such a sign between them.
fn is_sentence(text: &str, between: char) -> bool {
    let words: Vec<&str> =
        text.split(between).map(|w| w.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    words.len() > 8 || words.len() > 1 && is_prose(&words)
}

/// 16 bytes or more in base64 with its padding.
fn is_key(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let padded = text.len().is_multiple_of(4) && body.len() < text.len() && text.len() - body.len() <= 2;
    padded && body.len() >= 22 && body.bytes().all(letter) && entropy(body.as_bytes()) >= 3.5
}

/// As a cipher has it; a path begins otherwise, or has fewer kinds of letters.
fn is_base64(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    text.len() >= 24
        && !text.starts_with('/')
        && text.bytes().all(letter)
        && entropy(text.as_bytes()) >= 4.2
        && is_mixed(text.replace('/', "").as_bytes())
}

/// Capitals, small letters and digits.
pub(super) fn is_mixed(text: &[u8]) -> bool {
    let has = |of: fn(&u8) -> bool| text.iter().any(of);
    let all = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    text.len() >= 8 && all && random(text).is_some()
}

/// Words with one sign between them, or none.
fn is_phrase(value: &Value, code: &impl Fn() -> bool) -> bool {
    let text = value.text.as_str();
    let between = [' ', '-', '_', '.'].into_iter().find(|c| text.contains(*c));
    let words: Vec<&str> = between.map_or_else(|| humps(text), |c| text.split(c).collect());
    let alike = |of: fn(&str) -> bool| words.iter().all(|w| of(w));
    let spelled = alike(|w| w.bytes().all(|b| b.is_ascii_lowercase())) || alike(is_capitalised);
    if !spelled || !words.iter().all(|w| (3..=12).contains(&w.len())) && between.is_some() {
        return false;
    }
    match words.len() {
        // Run together; a name of a program is shorter, or has a word in it that says what it is.
        1 => text.len() >= 15 && !has_part(text) && !code(),
        2 => false,
        _ if is_prose(&words) => false,
        n => between == Some(' ') || value.form == Form::Quoted && n > 3 || !code(),
    }
}

/// Whether a word of programs is in it.
fn has_part(text: &str) -> bool {
    let lists = [PROSE, TECHNICAL].into_iter().flat_map(str::split_ascii_whitespace);
    lists.filter(|w| w.len() > 5).any(|w| text.contains(w))
}

fn is_capitalised(word: &str) -> bool {
    word.bytes()
        .enumerate()
        .all(|(n, b)| if n == 0 { b.is_ascii_uppercase() } else { b.is_ascii_lowercase() })
}

/// The words of `OneTwoThree`.
fn humps(text: &str) -> Vec<&str> {
    let starts = text.bytes().enumerate().filter(|(n, b)| *n > 0 && b.is_ascii_uppercase()).map(|(n, _)| n);
    let ends = starts.clone().chain([text.len()]);
    [0].into_iter().chain(starts).zip(ends).filter_map(|(from, to)| text.get(from..to)).collect()
}
