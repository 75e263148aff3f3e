/*
 * HTTPS under BIOS too: upstream takes it out of BIOS builds to save room in ROMs, and releases on GitHub (all of
 * BurmillaOS) have no other address. The well-known `sed s/#undef/#define/` recipes do nothing here, since the
 * #undef stands in a block of its own that comes later; this file comes last.
 */
#if defined ( PLATFORM_pcbios )
  #define DOWNLOAD_PROTO_HTTPS
#endif

/* What a person at the failsafe shell asks first: is the server there, and does its name resolve? */
#define PING_CMD
#define NSLOOKUP_CMD

/* What a signed netboot is checked with: imgverify and imgtrust (docs/netboot.md). */
#define IMAGE_TRUST_CMD
