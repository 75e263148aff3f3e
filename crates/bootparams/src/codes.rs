//! Every diagnostic's code, in one table: `docs/params.md` is made of it, and each example is checked to raise
//! its code.

use super::{diagnostic::Severity, target::Target};

/// A rule.
#[derive(Debug)]
pub struct Code {
    /// `E0201`: E is an error, W a warning, N a note.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The rule in a few words.
    pub title: &'static str,
    /// Why, for people.
    pub why: &'static str,
    /// A line that breaks it.
    pub example: Example,
    /// How it is reported, where it always is in the same words.
    pub(crate) wording: Option<Wording>,
}

/// The words of a diagnostic; `{}` takes what is particular to the line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording {
    /// What is wrong.
    pub(crate) message: &'static str,
    /// What the boot makes of it.
    pub(crate) at_boot: &'static str,
    /// What to do.
    pub(crate) help: &'static str,
}

/// What breaks a rule.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The systems that read the parameter in this way.
    pub os: &'static str,
    /// The text: a line, or a cloud-config for the rules about those.
    pub text: &'static str,
    /// How often the text stands there.
    pub times: usize,
    /// The loader that matters.
    pub target: Option<Target>,
}

impl Example {
    /// The whole text.
    #[must_use]
    pub fn line(&self) -> String {
        self.text.repeat(self.times)
    }
}

macro_rules! codes {
    ($($name:ident $id:literal $title:literal $why:literal $os:literal $text:literal
        $(* $times:literal)? $(@ $target:ident)?
        $(=> $message:literal, $at_boot:literal, $help:literal)?;)*) => {
        $(
            #[doc = $title]
            pub static $name: Code = Code {
                id: $id,
                severity: severity($id),
                title: $title,
                why: $why,
                example: Example {
                    os: $os,
                    text: $text,
                    times: codes!(@times $($times)?),
                    target: codes!(@target $($target)?),
                },
                wording: codes!(@wording $($message, $at_boot, $help)?),
            };
        )*
        /// All rules, in order.
        pub static ALL: &[&Code] = &[$(&$name),*];
    };
    (@times) => { 1 };
    (@times $times:literal) => { $times };
    (@target) => { None };
    (@target $target:ident) => { Some(Target::$target) };
    (@wording) => { None };
    (@wording $message:literal, $at_boot:literal, $help:literal) => {
        Some(Wording { message: $message, at_boot: $at_boot, help: $help })
    };
}

const fn severity(id: &str) -> Severity {
    match id.as_bytes()[0] {
        b'E' => Severity::Error,
        b'W' => Severity::Warning,
        _ => Severity::Note,
    }
}

codes! {
    SWALLOWED "E0101" "a quote or bracket swallows what follows"
        "From 1.5.5 on a quotation mark or `[` anywhere, even in another program's parameter, keeps everything up to its partner in one word. Before, nothing keeps words together, and a value is cut at its first blank."
        "rancheros-1.5.8" "foo=it's rancher.debug=true";
    CONTROL "E0102" "a tab or line break does not separate words"
        "The kernel splits at any white space, RancherOS only at U+0020: text after a tab belongs to the word before it."
        "rancheros-1.5.8" "quiet\trancher.debug=true";
    QUOTED_WORD "E0103" "a word that begins with a quote is ignored"
        "The OS looks for words that begin with `rancher.` or `cc.`. GRUB makes `\"rancher.a=b c\"` of `rancher.a=\"b c\"`, which is where such words come from."
        "rancheros-1.5.8" "\"rancher.password=a b\"";
    CRASH "E0105" "reading this value crashes PID 1"
        "The parser panics: up to 0.4.4 on an integer beyond 64 bits, later on a list or map as a map's key and on some anchors. Other anchors multiply until memory ends."
        "rancheros-0.4.4" "rancher.ssh.port=99999999999999999999";
    AFTER_DASHES "E0106" "lost after `--`"
        "Words after `--` go to init, and the kernels of RancherOS try to hide it from /proc/cmdline, which is the only place where a password and an autologin are looked for."
        "rancheros-1.5.8" "quiet -- rancher.password=x1y2z3";
    DASHES_QUOTES "E0107" "the kernel removes quotes after `--`"
        "The kernel gives init `cc.hostname=a b` for `cc.hostname=\"a b\"`, and then it splits at the blank. Quotes inside brackets stay."
        "rancheros-1.5.8" "-- cc.hostname=\"a b\"";
    DROPPED "E0108" "dropped, since a key above it has a value"
        "A key below one that already has a value is silently dropped."
        "rancheros-1.5.8" "rancher.network=x rancher.network.mtu=1";
    LIST "E0201" "a list is wanted"
        "A list is written in brackets, with commas: `[a,b]`. A text, a bare key (`true`) or nothing is of the wrong type."
        "rancheros-1.5.8" "rancher.state.dev=LABEL=RANCHER_STATE rancher.state.autoformat=/dev/sda";
    BOOLEAN "E0202" "a boolean is wanted"
        "true, false, yes, no, on, off, y and n in any case are booleans; 1, 0 and nothing are not."
        "rancheros-1.5.8" "rancher.debug=1";
    INTEGER "E0203" "an integer is wanted"
        "A bare key is `true`, which is not an integer; nothing at all (`key=`) even crashes the YAML library."
        "rancheros-1.5.8" "rancher.ssh.port=ssh";
    TEXT "E0204" "a text is wanted"
        "A list or a map cannot become a text."
        "rancheros-1.5.8" "rancher.state.dev=[/dev/sda]";
    MAP "E0205" "sub-keys are wanted"
        "This key holds others. Give them one by one, with dots."
        "rancheros-1.5.8" "rancher.services_include=[kernel-headers]";
    DOTTED "E0206" "a name with dots cannot be written"
        "Each dot in a key starts a level, and dots cannot be escaped: names of kernel settings, VLANs (`eth0.100`) and hosts become maps where a value is wanted."
        "rancheros-1.5.8" "rancher.sysctl.net.ipv4.ip_forward=1";
    UNPRINTABLE "E0207" "a text that the OS cannot carry"
        "The OS writes its configuration as YAML on the way to its structures. Its encoder fails on emoji (all beyond U+FFFD) and on control characters, and escapes other characters beyond ASCII with wrong digits, which are refused or read as other characters. Whichever key it is, the whole configuration is refused."
        "rancheros-1.5.8" "rancher.environment.A=\"\\x01\"";
    URL_QUOTES "E0208" "these quotes do not suit this version"
        "Up to 0.4.4 quotes stay in the element; 0.4.5 to 0.7.1 want them around a URL; outer quotes around the brackets make one text of the list in every version."
        "rancheros-0.4.4" "rancher.cloud_init.datasources=[\"url:http://h/c.yml\"]";
    NOT_TEXT "E0301" "init takes this for a text and panics"
        "`root` and `netconsole` are read by the same parser, and then asserted to be texts: a number or a bare word ends init."
        "rancheros-1.5.8" "root=254"
        => "`{}` is not read as a text",
        "init panics, and the kernel with it",
        "write `{}=TEXT`";
    TOO_LONG "E0302" "longer than the kernel keeps"
        "An x86 kernel keeps 2047 bytes, with what the loader adds. ISOLINUX and iPXE silently cut the rest."
        "rancheros-1.5.8" "rancher.environment.A=1234567890 " * 80 @ Isolinux;
    TOO_MANY "E0303" "more words than the kernel hands to init"
        "Words that the kernel does not know and that have no dot become arguments and variables of init, 32 at most of each; one more is a panic. Words cut out of an unquoted value count, too."
        "rancheros-1.5.8" "word " * 33;
    LOADER "E0304" "this loader cannot pass it on"
        "iPXE has no quoting: `${` begins a setting, and a token `||`, `&&`, `;` or one that begins with `#` ends the command. GRUB puts a backslash before each backslash and quote; RancherOS takes those before quotes off from 0.6.0 on."
        "rancheros-1.5.8" "rancher.environment.A=${b}" @ Ipxe;
    NO_STATE "E0401" "autoformat does nothing without state.dev"
        "From 0.6.0 on `rancher.state.dev` has no default, and disks are formatted only when it is set and cannot be found."
        "rancheros-1.5.8" "rancher.state.autoformat=[/dev/sda]"
        => "`rancher.state.dev` is missing",
        "nothing is formatted, and the system runs in RAM",
        "add `rancher.state.dev=LABEL=RANCHER_STATE`";
    STATE_PATH "E0402" "a path in state.dev keeps autoformat from running"
        "A path counts as found, even when nothing is there. Only a tag that no disk has, `LABEL=RANCHER_STATE`, lets disks be formatted."
        "rancheros-1.5.8" "rancher.state.dev=/dev/sda rancher.state.autoformat=[/dev/sda]"
        => "`{}` is a path, which counts as found even when nothing is there",
        "nothing is formatted, and the system runs in RAM",
        "write `rancher.state.dev=LABEL=RANCHER_STATE`";
    STATE_LABEL "E0403" "the formatted disk will not be found"
        "The file system is labelled `RANCHER_STATE`, in capitals; a state.dev that says anything else never finds it, and the system stays in RAM."
        "rancheros-1.5.8" "rancher.state.dev=LABEL=DATA rancher.state.autoformat=[/dev/sda]"
        => "a formatted disk is labelled RANCHER_STATE, and this looks for `{}`",
        "the system runs in RAM",
        "write `rancher.state.dev=LABEL=RANCHER_STATE`";
    SSH_KEY "E0404" "not a public SSH key on the line"
        "Type, base64 and the type inside must agree. An element with blanks needs double quotes, or the kernel takes its words apart."
        "rancheros-1.5.8" "cc.ssh_authorized_keys=[\"ssh-ed25519 AAAAB3Nza me@host\"]"
        => "key {} of `cc.ssh_authorized_keys`: {}",
        "this key opens no login",
        "paste the whole line of a file that ends in .pub, in double quotes inside the brackets";
    FIXED_PASSWORD "E0405" "the first password that attackers try"
        "`rancher` was the password of early releases, and every scanner knows it."
        "rancheros-1.5.8" "rancher.password=rancher";
    UNKNOWN "W0101" "unknown key"
        "Unknown keys are silently ignored."
        "rancheros-1.5.8" "rancher.state.autofromat=[/dev/sda]";
    TOO_NEW "W0102" "a later version brought this key"
        "This version ignores it."
        "rancheros-0.7.1" "rancher.ssh.port=2222";
    GONE "W0103" "this version no longer has the key"
        "It is ignored. `formatzero` was removed in 0.7.0, where a first MiB of zeros is enough; `docker.args` with it."
        "rancheros-1.5.8" "rancher.state.formatzero=true";
    DUPLICATE "W0104" "set again later"
        "The last one wins; lists are not merged."
        "rancheros-1.5.8" "rancher.ssh.port=22 rancher.ssh.port=2222";
    MANGLED "W0105" "the OS sees another text"
        "A value goes through YAML first: a leading 0 makes it octal, `1.10` is a float, `yes` is true, a date is a moment, `~` is nothing. Double quotes keep it as it is, from 0.4.5 on."
        "rancheros-1.5.8" "rancher.environment.V=1.10";
    RAW "W0106" "kept verbatim, quotes and brackets included"
        "The value begins like a string or list of YAML but is not one, so the OS takes the raw text."
        "rancheros-1.5.8" "cc.hostname='a'b";
    ERASES "W0107" "null erases the defaults below"
        "`~`, `null`, an anchor or a tag alone empties the whole map."
        "rancheros-1.5.8" "rancher.system_docker=~";
    REPLACED "W0108" "replaced later"
        "A value given to a key throws away what was set below it."
        "rancheros-1.5.8" "rancher.environment.A=b rancher.environment=~";
    NO_PREFIX "W0109" "read only with `cc.` in front"
        "Keys of the top level are read as `cc.hostname` and so on, from 0.8.0 on; without it the OS ignores them."
        "rancheros-1.5.8" "hostname=box";
    CASE "W0110" "not read in this spelling"
        "`rancher.` and `cc.` are read in lower case only, and `cc.` from 0.8.0 on."
        "rancheros-1.5.8" "Rancher.debug=true";
    BRACES "W0111" "a map in braces does not work on the command line"
        "Up to 0.6.1 it stays a text. From 0.7.0 on the colon is hidden from YAML and put back in values only, so the key is garbled. Write each key with dots."
        "rancheros-1.5.8" "rancher.environment={A:b}";
    NOT_ON_LINE "W0112" "has no useful form on the command line"
        "Lists of maps have no form there, PEM texts and host keys have line breaks, and names of kernel settings have dots. The boot goes on without the setting."
        "rancheros-1.5.8" "rancher.docker.ca_cert=x";
    CLEAR_SECRET "W0202" "a secret in clear text on the medium"
        "Anyone with the medium or the machine can read it: every process can read /proc/cmdline."
        "rancheros-1.5.8" "rancher.password=correct-horse";
    HASHED "W0203" "a hash is taken as the password itself"
        "The value goes to chpasswd without -e: to log in one would have to type the hash."
        "rancheros-1.5.8" "rancher.password=$6$salt$hash";
    NO_PASSWORD "W0204" "no password is set"
        "An empty value leaves the password as it is."
        "rancheros-1.5.8" "rancher.password=";
    STATE_CASE "W0401" "labels are case-sensitive"
        "The label is `RANCHER_STATE`. BurmillaOS's own iPXE script has it in the wrong case."
        "burmillaos-1.9.3" "rancher.state.dev=LABEL=rancher_STATE"
        => "the label is `RANCHER_STATE`, not `{}`",
        "the state is not found",
        "write `rancher.state.dev=LABEL=RANCHER_STATE`";
    WAITS "W0402" "the first boot waits half a minute"
        "state.wait looks for the device before autoformat has made it."
        "rancheros-1.5.8" "rancher.state.dev=LABEL=RANCHER_STATE rancher.state.wait rancher.state.autoformat=[/dev/sda]"
        => "`rancher.state.wait` looks for the state before autoformat has made it",
        "the first boot waits for 30 s",
        "remove it unless the disk appears late";
    EMPTY_LIST "W0403" "an empty list formats the usual disks"
        "Up to 0.4.4 `[]` has one empty element, and the script falls back to /dev/sda and /dev/vda."
        "rancheros-0.4.4" "rancher.state.autoformat=[]"
        => "an empty list here is not empty",
        "/dev/sda and /dev/vda are tried",
        "remove the word, or write `[none]`";
    NO_CONSOLE "W0501" "no login on this terminal"
        "A serial line has a login only when its `console=` is there as well; tty0 never has one: the screens are tty1 to tty6."
        "rancheros-1.5.8" "rancher.autologin=ttyS0"
        => "`{}` has no login",
        "no login appears there",
        "{}";
    DATASOURCE "W0502" "not a datasource of this version"
        "Unknown names are silently ignored."
        "rancheros-1.4.3" "rancher.cloud_init.datasources=[proxmox]";
    CONFIG_URL "W0503" "cloud-config-url is not looked at"
        "It is read only by the datasource `cmdline`."
        "rancheros-1.5.8" "cloud-config-url=http://h/c.yml"
        => "the datasource `cmdline` is not listed",
        "the address is not asked",
        "add `rancher.cloud_init.datasources=[cmdline]`, or give `[url:…]` there";
    NIC_TWICE "W0504" "two selectors for one interface"
        "An interface gets the settings of one selector: one with its address (`mac:`), or else its name, or else a pattern. Where two patterns fit, or a pattern of addresses and an address, it is chance which."
        "rancheros-1.5.8" "rancher.network.interfaces.eth*.dhcp=true rancher.network.interfaces.e*.mtu=9000";
    NIC_NONE "W0505" "no interface gets an address"
        "Any selector replaces the default, which is DHCP on eth*. None of these asks for DHCP or sets an address, or none of them is an interface of this machine."
        "rancheros-1.5.8" "rancher.network.interfaces.eth0.mtu=9000";
    NIC_GLOB "W0506" "this selector matches nothing"
        "Patterns of addresses (`mac:00:11:*`) are known from 1.5.2 on, and are compared with addresses in lower case. Without a `*` the whole address is needed."
        "rancheros-1.5.0" "rancher.network.interfaces.mac:00:11:*.dhcp=true";
    LOCKDOWN "W0507" "ignored under Secure Boot"
        "With Secure Boot on, Debian's kernel locks itself down for integrity: nothing may change the running kernel, its tables or its memory, and these parameters ask for that. See kernel_lockdown(7)."
        "smoke" "acpi_rsdp=0x7f000000";
    FIRST_BLANK "N0401" "only the first blank disk is formatted"
        "The disks are tried in order, and the first that may be formatted ends it."
        "rancheros-1.5.8" "rancher.state.dev=LABEL=RANCHER_STATE rancher.state.autoformat=[/dev/sda,/dev/vda]"
        => "only the first blank one of these disks is formatted",
        "",
        "list them in the order to try";
    WIPES "N0402" "a disk whose first MiB is zero is wiped"
        "From 0.7.0 on that is enough; what follows is not examined."
        "rancheros-1.5.8" "rancher.state.dev=LABEL=RANCHER_STATE rancher.state.autoformat=[/dev/sda]"
        => "a disk here is formatted if its first MiB is zero, even with data after it",
        "its data is gone",
        "name only disks that may be wiped";
    CONSOLE_ORDER "N0501" "the last console= is /dev/console"
        "Only there do early messages and the passphrase prompt of encrypted disks appear."
        "rancheros-1.5.8" "console=tty1 console=ttyS0,115200n8"
        => "`{}` is /dev/console, since it comes last",
        "early messages go there",
        "list the terminal that you watch last";
    CC_YAML "E0601" "not YAML"
        "A file that cannot be read is skipped as a whole, and the boot goes on without it."
        "rancheros-1.5.8" "#cloud-config\nhostname: [a\n";
    CC_HEADER "E0602" "the first line must be exactly `#cloud-config`"
        "Without it a datasource's text is dropped; `#!…` and `#compose` mark other formats. White space behind it does no harm, a byte order mark before it does."
        "rancheros-1.5.8" "hostname: a\n";
    CC_TYPE "E0603" "a value of the wrong type"
        "A single wrong type makes the OS skip the whole file."
        "rancheros-1.5.8" "#cloud-config\nrancher:\n  state:\n    autoformat: /dev/sda\n";
    CC_KEY "E0604" "not a public SSH key"
        "Type, base64 and the type inside must agree; a private key must not be here at all."
        "rancheros-1.5.8" "#cloud-config\nssh_authorized_keys:\n  - ssh-ed25519 AAAAB3Nza me@host\n";
    CC_SHAPE "E0605" "an entry of the wrong shape"
        "`write_files` wants a path in each entry, `mounts` exactly four texts, `runcmd` and `bootcmd` texts or lists of texts."
        "rancheros-1.5.8" "#cloud-config\nmounts:\n  - [/dev/sdb, /data]\n";
    CC_TEXT "E0606" "a text that the OS cannot carry"
        "The OS writes what it has read as YAML on the way to its structures. Its encoder fails on emoji (all beyond U+FFFD) and on control characters, and escapes other characters beyond ASCII with wrong digits, which are refused or read as other characters. The whole file is skipped, wherever they stand, but for comments."
        "rancheros-1.5.8" "#cloud-config\nwrite_files:\n  - path: /etc/motd\n    content: \"\\U0001F600\"\n";
    CC_CRASH "E0607" "reading it crashes PID 1"
        "An integer that is an empty text, a list, a map or binary data as a map's key, a service that is null, and some anchors: the code does not check for them."
        "rancheros-1.5.8" "#cloud-config\nrancher:\n  services:\n    web:\n";
    CC_UNKNOWN "W0601" "unknown key in the cloud-config"
        "Unknown keys are silently ignored. Those of other systems' cloud-init (`users`, `packages`) are unknown here."
        "rancheros-1.5.8" "#cloud-config\nusers: []\n";
    CC_VERSION "W0602" "not a key of this version"
        "This version ignores it."
        "rancheros-0.4.4" "#cloud-config\nruncmd:\n  - [echo]\n";
    CC_PASSWORD "W0603" "a fixed password, or one that is not read here"
        "`rancher.password` is read from the kernel's command line only. A `chpasswd` in a script may set the password `rancher`, which everyone knows."
        "rancheros-1.5.8" "#cloud-config\nrancher:\n  password: rancher\n";
    CC_TWICE "W0604" "set twice in one map"
        "The last one wins; nothing is merged."
        "rancheros-1.5.8" "#cloud-config\nhostname: a\nhostname: b\n";
    CC_MANGLED "W0605" "the OS sees another text in the cloud-config"
        "As on the command line, the text is what YAML makes of it: permissions `0644` become 420, and are then read as octal 420."
        "rancheros-1.5.8" "#cloud-config\nwrite_files:\n  - path: /a\n    permissions: 0644\n";
    CC_SECOND "W0606" "a second document is never read"
        "A line `---` ends the first document, and the OS reads no other."
        "rancheros-1.5.8" "#cloud-config\nhostname: a\n---\nrancher: {debug: true}\n";
    CC_CRLF "W0607" "CRLF line ends"
        "The OS reads them, `ros config validate` does not."
        "rancheros-1.5.8" "#cloud-config\r\nhostname: a\r\n";
    CC_EARLY "N0601" "too late in a cloud-config that is fetched"
        "The state's device and autoformat are needed before a datasource is asked; in a cloud-config that is fetched they come too late. On the command line, or in a config initrd, they are in time."
        "rancheros-1.5.8" "#cloud-config\nrancher:\n  state:\n    dev: LABEL=RANCHER_STATE\n";
    HOST_KEY "E0701" "not a key of this system"
        "`docker-1` takes the keys of its table; the others of RancherOS are refused with a reason, and the rest of the line or file is applied."
        "docker-1" "rancher.autologin=tty1";
    HOST_VALUE "E0702" "a value that this system refuses"
        "The system runs the same code at boot: it names what it refuses on the console, in these words, and applies the rest."
        "docker-1" "rancher.state.autoformat=/dev/sda";
}
