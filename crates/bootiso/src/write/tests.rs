use std::collections::BTreeMap;

use super::*;

fn spec(contents: &BTreeMap<&str, Vec<u8>>) -> Spec {
    let order = ["/efi.img", "/isolinux/isolinux.bin", "/vmlinuz", "/boot/grub/grub.cfg", "/isolinux.cfg"];
    Spec {
        label: "TEST".to_owned(),
        time: 1_795_564_800,
        id: *b"0123456789abcdef",
        files: order
            .iter()
            .map(|path| FileSpec { path: (*path).to_owned(), length: contents[path].len() as u64 })
            .collect(),
        boot: BootImage {
            code: vec![0xfa; 432],
            bios: "/isolinux/isolinux.bin".to_owned(),
            catalog: "/isolinux/boot.cat".to_owned(),
            efi: Some("/efi.img".to_owned()),
        },
    }
}

fn contents() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("/efi.img", vec![1; 5000]),
        ("/isolinux/isolinux.bin", vec![2; 3001]),
        ("/vmlinuz", vec![3; 100_000]),
        ("/boot/grub/grub.cfg", b"set timeout=0\n".to_vec()),
        ("/isolinux.cfg", Vec::new()),
    ])
}

fn made() -> (ImageLayout, Vec<u8>) {
    let contents = contents();
    let image = ImageLayout::plan(&spec(&contents)).unwrap();
    let mut bytes = Vec::new();
    image.write(&mut bytes, |path| Ok(Box::new(io::Cursor::new(contents[path].clone())))).unwrap();
    (image, bytes)
}

#[test]
fn what_is_written_is_read_back() {
    let (image, bytes) = made();
    assert_eq!(image.size(), bytes.len() as u64);
    assert_eq!(bytes.len() as u64 % (256 << 10), 0);
    let iso = crate::Iso::over(std::sync::Arc::new(bytes.clone())).unwrap();
    for (path, want) in contents() {
        let entry = iso.find(path).unwrap();
        let have = iso.read(&entry, 1 << 20).unwrap();
        let same = if path == "/isolinux/isolinux.bin" { have[64..] == want[64..] } else { have == want };
        assert!(same, "{path}");
        assert_eq!(image.place(path), Some((entry.extents.first().map_or(0, |e| e.offset), entry.size)));
    }
    let starts: Vec<_> = iso.boot_entries().unwrap().into_iter().map(|e| (e.platform, e.offset)).collect();
    let place = |path| image.place(path).unwrap().0;
    assert_eq!(
        starts,
        [("bios".to_owned(), place("/isolinux/isolinux.bin")), ("efi".to_owned(), place("/efi.img"))]
    );
    let parts: Vec<u64> = iso.partitions().unwrap().iter().map(|p| p.offset).collect();
    assert!(parts.contains(&place("/efi.img")));
    assert_eq!(iso.walk_all().unwrap().len(), 2, "Rock Ridge or plain names, and Joliet");
}

#[test]
fn ranges_that_begin_and_end_between_files_are_the_image_in_pieces() {
    let contents = contents();
    let (image, whole) = made();
    for (_, cut, _) in image.files().chain([("", 0, 0), ("", image.size(), 0)]) {
        let mut bytes = Vec::new();
        for range in [0..cut, cut..image.size()] {
            let open = |path: &str| -> io::Result<Box<dyn Read>> {
                Ok(Box::new(io::Cursor::new(contents[path].clone())))
            };
            image.write_range(range, &mut bytes, open).unwrap();
        }
        assert!(bytes == whole, "cut at {cut}");
    }
}

#[test]
fn the_same_specification_makes_the_same_bytes() {
    assert!(made().1 == made().1);
}

#[test]
fn a_file_that_is_shorter_or_longer_than_planned_is_refused() {
    let contents = contents();
    let image = ImageLayout::plan(&spec(&contents)).unwrap();
    for change in [1, -1] {
        let result = image.write(&mut io::sink(), |path| {
            let mut bytes = contents[path].clone();
            if path == "/vmlinuz" {
                bytes.resize(bytes.len().saturating_add_signed(change), 0);
            }
            Ok(Box::new(io::Cursor::new(bytes)))
        });
        assert!(matches!(result, Err(WriteError::Length { .. })));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let contents = contents();
    let refused = |change: &dyn Fn(&mut Spec)| {
        let mut spec = spec(&contents);
        change(&mut spec);
        ImageLayout::plan(&spec).unwrap_err();
    };
    refused(&|s| s.label = "a b".to_owned());
    refused(&|s| s.files[0].length = 1 << 32);
    refused(&|s| s.files[0].length = 33 << 20);
    refused(&|s| s.files[2].path = "/ISOLINUX.CFG".to_owned());
    refused(&|s| s.boot.efi = Some("/none".to_owned()));
    refused(&|s| s.boot.code = vec![0; 433]);
}
