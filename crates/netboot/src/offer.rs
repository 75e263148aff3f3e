//! Asks a network for a DHCP server: one DHCPDISCOVER (RFC 2131), and whether anybody makes an offer.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

/// Servers may first try an address by pinging it, which takes a second or more.
const WAIT: Duration = Duration::from_secs(3);
/// The option's number and value that make a message a DISCOVER, and the one that makes it an OFFER.
const DISCOVER: [u8; 3] = [53, 1, 1];
const OFFER: [u8; 3] = [53, 1, 2];
/// Begins the options.
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// The first server that offers an address on the network where `address` is ours.
///
/// # Errors
/// When the client's port 68 cannot be used: that needs root, and no other DHCP client on it.
pub(super) fn ask(address: Ipv4Addr) -> io::Result<Option<Ipv4Addr>> {
    // Offers are broadcast, which a socket bound to one address does not get; and a broadcast leaves by the network of
    // its socket's address: hence two.
    let receiver = bound(Ipv4Addr::UNSPECIFIED)?;
    let sender = bound(address)?;
    let id = std::process::id().to_be_bytes();
    sender.send_to(&discover(id, address), (Ipv4Addr::BROADCAST, 67))?;
    let end = Instant::now() + WAIT;
    let mut buffer = [0; 1500];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        receiver.set_read_timeout(Some(left))?;
        match receiver.recv_from(&mut buffer) {
            Ok((n, SocketAddr::V4(from))) if is_offer(&buffer[..n], id) => return Ok(Some(*from.ip())),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(e) => return Err(e),
        }
    }
}

fn bound(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    // Both sockets have the port. On Windows this option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind(&SocketAddr::from((address, 68)).into())?;
    Ok(UdpSocket::from(socket))
}

/// A request for any address, from a made-up network card whose number is marked as locally given.
fn discover(id: [u8; 4], address: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0; 236];
    // A request over Ethernet, whose hardware addresses have six bytes.
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(&id);
    // Answers are broadcast, since the offered address is not in use yet.
    message[10] = 0x80;
    message[28] = 0x02;
    message[30..34].copy_from_slice(&address.octets());
    message.extend(COOKIE);
    message.extend(DISCOVER);
    message.push(255);
    // Old servers drop what is shorter than a BOOTP message.
    message.resize(300, 0);
    message
}

fn is_offer(message: &[u8], id: [u8; 4]) -> bool {
    let reply = message.first() == Some(&2) && message.get(4..8) == Some(&id[..]);
    let options = message.get(240..).filter(|_| message.get(236..240) == Some(&COOKIE[..]));
    reply && options.is_some_and(|o| has_option(o, OFFER))
}

fn has_option(mut options: &[u8], wanted: [u8; 3]) -> bool {
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [255, ..] | [] | [_] => return false,
            [number, len, rest @ ..] => {
                let Some(value) = rest.get(..usize::from(*len)) else { return false };
                if [*number, *len] == wanted[..2] && value == &wanted[2..] {
                    return true;
                }
                options = &rest[value.len()..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 4] = [1, 2, 3, 4];

    fn answer(options: &[u8]) -> Vec<u8> {
        let mut message = discover(ID, Ipv4Addr::LOCALHOST)[..240].to_vec();
        message[0] = 2;
        message.extend(options);
        message
    }

    #[test]
    fn an_offer_to_us_is_told_from_everything_else() {
        assert!(is_offer(&answer(&[54, 4, 10, 0, 0, 1, 0, 53, 1, 2, 255]), ID));
        assert!(!is_offer(&answer(&[53, 1, 5, 255]), ID), "an acknowledgement");
        assert!(!is_offer(&answer(&[53, 1, 2, 255]), [9; 4]), "somebody else's");
        assert!(!is_offer(&discover(ID, Ipv4Addr::LOCALHOST), ID), "our own request");
    }

    #[test]
    fn a_damaged_message_is_no_offer() {
        let whole = answer(&[54, 4, 10, 0, 0, 1, 53, 1, 2]);
        for n in 0..whole.len() {
            assert!(!is_offer(&whole[..n], ID), "{n}");
        }
        assert!(!is_offer(&answer(&[12, 200, 53, 1, 2]), ID));
    }
}
