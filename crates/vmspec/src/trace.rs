//! DHCP read out of a packet trace (pcap), as QEMU's `filter-dump` and VirtualBox's `nictrace` write it.
//!
//! A boot loader tells on its screen why it got no address, and that screen is not visible. The packets tell the
//! same to a program. Everything but DHCP over IPv4 and Ethernet is passed over.

use core::net::Ipv4Addr;

/// A DHCP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpMessage {
    /// A client looks for a server or asks for an address.
    Asked,
    /// A server offers this address or confirms it.
    Answered(Ipv4Addr),
    /// A server refuses.
    Refused,
}

/// Reads a trace while it is written.
#[derive(Debug, Default)]
pub struct Trace {
    pending: Vec<u8>,
    state: LineState,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum LineState {
    #[default]
    Start,
    Packets {
        big_endian: bool,
    },
    /// Not a trace that we understand: everything more is dropped.
    Foreign,
}

/// Length of the file's header, and of a packet's.
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
/// No Ethernet frame is longer, not even with all offloads; a larger number means that we are lost.
const LONGEST: usize = 1 << 18;

impl Trace {
    /// Takes more bytes of the file and gives the DHCP messages that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<DhcpMessage> {
        self.pending.extend_from_slice(bytes);
        let mut found = Vec::new();
        let mut used = 0;
        loop {
            match self.state {
                LineState::Foreign => {
                    self.pending.clear();
                    return found;
                }
                LineState::Start if self.pending.len() < FILE_HEADER => break,
                LineState::Start => {
                    self.state = file_header(&self.pending);
                    used = FILE_HEADER;
                }
                LineState::Packets { big_endian } => {
                    let Some(length) = word(&self.pending, used + 8, big_endian) else { break };
                    if length > LONGEST {
                        self.state = LineState::Foreign;
                        continue;
                    }
                    let start = used + PACKET_HEADER;
                    let Some(frame) = self.pending.get(start..start + length) else { break };
                    found.extend(dhcp(frame));
                    used = start + length;
                }
            }
        }
        self.pending.drain(..used);
        found
    }
}

fn file_header(header: &[u8]) -> LineState {
    // Seconds with microseconds or with nanoseconds; the times are not used here.
    match header.first_chunk::<4>() {
        Some([0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1]) => LineState::Packets { big_endian: false },
        Some([0xa1, 0xb2, 0xc3, 0xd4] | [0xa1, 0xb2, 0x3c, 0x4d]) => LineState::Packets { big_endian: true },
        _ => LineState::Foreign,
    }
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> Option<usize> {
    let raw = bytes.get(at..)?.first_chunk::<4>()?;
    let value = if big_endian { u32::from_be_bytes(*raw) } else { u32::from_le_bytes(*raw) };
    usize::try_from(value).ok()
}

/// The DHCP message in an Ethernet frame, if it holds one (RFC 2131).
fn dhcp(frame: &[u8]) -> Option<DhcpMessage> {
    let ip = frame.get(14..).filter(|_| frame[12..14] == [0x08, 0x00])?;
    let header = usize::from(ip.first()? & 0xf) * 4;
    let is_udp = ip.get(9) == Some(&17);
    let udp = ip.get(header..).filter(|_| is_udp)?;
    let port = |at: usize| udp.get(at..at + 2).map(|p| u16::from_be_bytes([p[0], p[1]]));
    if !matches!((port(0)?, port(2)?), (68, 67) | (67, 68)) {
        return None;
    }
    let message = udp.get(8..)?;
    let your: [u8; 4] = *message.get(16..)?.first_chunk()?;
    let options = message.get(236..)?.strip_prefix(&[0x63, 0x82, 0x53, 0x63])?;
    match kind(options)? {
        1 | 3 => Some(DhcpMessage::Asked),
        2 | 5 => Some(DhcpMessage::Answered(Ipv4Addr::from(your))),
        6 => Some(DhcpMessage::Refused),
        _ => None,
    }
}

/// The value of option 53, the message's type.
fn kind(mut options: &[u8]) -> Option<u8> {
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [53, 1, kind, ..] => return Some(*kind),
            [255, ..] | [] => return None,
            [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
            [_] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(ports: (u16, u16), options: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([0; 8]);
        frame.extend(ports.0.to_be_bytes());
        frame.extend(ports.1.to_be_bytes());
        frame.extend([0; 4]);
        let mut message = vec![0; 236];
        message[16..20].copy_from_slice(&[192, 168, 56, 101]);
        message.extend([0x63, 0x82, 0x53, 0x63]);
        message.extend(options);
        frame.extend(message);
        frame
    }

    fn file(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1];
        bytes.resize(FILE_HEADER, 0);
        for frame in frames {
            bytes.extend([0; 8]);
            bytes.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(frame);
        }
        bytes
    }

    #[test]
    fn messages_are_found_however_the_file_is_cut() {
        let bytes = file(&[
            frame((68, 67), &[0, 77, 4, b'i', b'P', b'X', b'E', 53, 1, 1, 255]),
            frame((1000, 67), &[53, 1, 1]),
            frame((67, 68), &[53, 1, 5, 255]),
            frame((67, 68), &[53, 1, 6]),
            frame((67, 68), &[51]),
            vec![0; 60],
        ]);
        let expected = [
            DhcpMessage::Asked,
            DhcpMessage::Answered(Ipv4Addr::new(192, 168, 56, 101)),
            DhcpMessage::Refused,
        ];
        for step in [1, 7, 100, bytes.len()] {
            let mut trace = Trace::default();
            let found: Vec<DhcpMessage> = bytes.chunks(step).flat_map(|c| trace.push(c)).collect();
            assert_eq!(found, expected, "in steps of {step}");
            assert!(trace.pending.is_empty());
        }
    }

    #[test]
    fn bytes_that_are_no_trace_are_dropped() {
        let mut trace = Trace::default();
        assert!(trace.push(&[7; 1000]).is_empty() && trace.pending.is_empty());
        let mut trace = Trace::default();
        let mut bytes = file(&[]);
        bytes.extend([0xff; 16]);
        assert!(trace.push(&bytes).is_empty());
        assert_eq!(trace.state, LineState::Foreign);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_frames_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            Trace::default().push(&file(&[bytes]));
        }
    }
}
