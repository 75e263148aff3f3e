//! Programs of UEFI as far as a reader looks at them: headers and sections.

/// A program with these sections.
pub(crate) fn program(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3C] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x86] = u8::try_from(sections.len()).unwrap();
    for (i, (name, content)) in sections.iter().enumerate() {
        let at = 0x80 + 24 + 40 * i;
        bytes[at..at + name.len()].copy_from_slice(name.as_bytes());
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let offset = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes[at + 8..at + 12].copy_from_slice(&length);
        bytes[at + 16..at + 20].copy_from_slice(&length);
        bytes[at + 20..at + 24].copy_from_slice(&offset);
        bytes.extend_from_slice(content);
    }
    bytes
}

/// A GRUB with this configuration built in.
pub(crate) fn grub(config: &[u8]) -> Vec<u8> {
    grub_with(2, &[config, b"\0"].concat())
}

/// A GRUB with an object of this kind behind its modules: 1 for a memdisk, 2 for a configuration.
pub(crate) fn grub_with(kind: u32, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    let object = [&kind.to_le_bytes()[..], &size.to_le_bytes(), content].concat();
    let total = (24 + object.len()) as u64;
    let mods = [&b"mimg\0\0\0\0"[..], &24u64.to_le_bytes(), &total.to_le_bytes(), &object].concat();
    program(&[("mods", &mods)])
}
