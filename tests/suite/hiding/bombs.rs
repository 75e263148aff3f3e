//! Files that unpack to more than anybody could look through, and what is only like one.

use std::process::Command;

use base64::{Engine as _, engine::general_purpose as b64};
use fs_err as fs;

use super::{LINE, compressed, refused};
use crate::{fixtures::Lab, repo::whole_program};

/// What is looked through of each bomb, which is done in two seconds; of zeros more, as they take no time.
const BOMBS: [(&str, u64); 5] = [
    ("zeros", 1 << 30),
    ("letters", 12 << 20),
    ("nested", 40 << 20),
    ("variables", 2 << 20),
    ("spelled", 24 << 20),
];

/// Bytes that a look through `folder` goes through, and the processor's seconds that it takes.
fn work(lab: &Lab, folder: &str) -> (u64, f64) {
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" secret-scan --json \"$1\" 2>/dev/null; times"]);
    let output = command.arg(whole_program()).arg(lab.path(folder)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let digits: String = said
        .split_once("\"bytes\":")
        .map(|(_, rest)| rest.trim_start().chars().take_while(char::is_ascii_digit).collect())
        .unwrap();
    // The last line is of the children: `0m1.230000s 0m0.010000s`.
    let of = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    (digits.parse().unwrap(), said.lines().last().unwrap().split_whitespace().map(of).sum())
}

#[test]
fn a_bomb_ends_soon_and_is_refused() {
    let lab = Lab::new();
    let gzip = |bytes: &[u8]| {
        compressed(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()), bytes)
    };
    let zeros = gzip(&vec![0; 512 << 20]);
    let letters = gzip(&vec![b'a'; 512 << 20]);
    let nested = gzip(&gzip(&letters.repeat(40)));
    let mut variables = "set a0 0123456789abcdef\n".to_owned();
    for n in 1..500 {
        variables += &format!("set a{n} ${{a{0}}}${{a{0}}}${{a{0}}}\n", n - 1);
    }
    let spelled = (0..12).fold(LINE.repeat(2000).into_bytes(), |b, _| b64::STANDARD.encode(b).into_bytes());
    let bombs = [zeros.repeat(8), letters, nested, variables.into_bytes(), spelled];
    for ((name, most), bytes) in BOMBS.into_iter().zip(bombs) {
        lab.write(&format!("{name}/x"), "");
        fs::write(lab.path(&format!("{name}/{name}")), bytes).unwrap();
        let (bytes, seconds) = work(&lab, name);
        println!("{name}: {} MiB in {seconds} s", bytes >> 20);
        assert!(bytes < most, "{name}: {bytes} bytes");
    }
}

/// Words next to which secrets stand, and what archives begin with, are more to look at than their bytes.
#[test]
fn a_file_full_of_words_to_look_at_ends_soon_and_is_refused() {
    let lab = Lab::new();
    let archive = format!("x070701{}", "0".repeat(104));
    let bombs = [
        ("loaders", "append password ".repeat(1 << 16)),
        ("networks", "network={ psk ".repeat(1 << 17)),
        ("keys", "-----BEGIN PRIVATE KEY-----\n".repeat(1 << 16)),
        ("archives", archive.repeat(1 << 13)),
    ];
    lab.write("words/x", "");
    for (name, text) in &bombs {
        fs::write(lab.path(&format!("words/{name}")), text).unwrap();
    }
    let (names, said) = refused(&lab, "words");
    for (name, _) in &bombs {
        assert!(names.iter().any(|n| n == name), "{name}: {said}");
        assert!(said.contains(&format!("{name}: there is more to look into than its size allows")), "{said}");
    }
}

/// As packages of memory tests and floppy images are: a hundredth of what they unpack to is more than zeros.
#[test]
fn a_packed_disk_of_zeros_is_no_bomb() {
    let lab = Lab::new();
    let mut disk = LINE.as_bytes().to_vec();
    disk.resize(48 << 20, 0);
    let packed = compressed(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()), &disk);
    fs::create_dir_all(lab.path("disk")).unwrap();
    fs::write(lab.path("disk/disk.gz"), packed).unwrap();
    let output = Command::new(whole_program())
        .args(["secret-scan", lab.path("disk").to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a password at byte") && !said.contains("not looked into"), "{said}");
}
