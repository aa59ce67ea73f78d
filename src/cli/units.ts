/**
 * The systemd unit of the daemon beside Docker. Its hardening gives the daemon what it keeps by itself (daemon/privileges.ts) from the start, so that it
 * needs not start anew, and takes the rest of the system out of its reach. docs/daemon.md explains the lines.
 */
import { KEPT_CAPABILITIES } from '../daemon/privileges.js';

export const UNIT_PATH = '/etc/systemd/system/tapbridge.service';

/** Places ProtectHome hides. */
const HOMES = ['/home/', '/root/', '/run/user/'];

export interface UnitSettings {
  /** Of the Docker driver. */
  driver: string;
  /** The command line before `daemon`: Node and the program, absolute. */
  command: readonly string[];
}

export function dockerUnit({ driver, command }: UnitSettings): string {
  const words = [...command, 'daemon', '--docker', driver, '--on-stop', 'keep'];
  const atHome = command.some((path) => HOMES.some((home) => path.startsWith(home)));
  return `[Unit]
Description=tapbridge, Docker's network driver "${driver}"
After=network.target
# Docker asks its drivers while it starts, and stops containers before the daemon goes.
Before=docker.service podman.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${words.map(quoted).join(' ')}
Restart=always
RestartSec=200ms
TimeoutStopSec=10s
# A descriptor for each published port and each connection of the host to one.
LimitNOFILE=131072
# Flows outlive a restart there, networks a reboot here. Docker looks for drivers in the second one.
RuntimeDirectory=tapbridge docker/plugins
RuntimeDirectoryPreserve=yes
StateDirectory=tapbridge
StateDirectoryMode=0700
UMask=0077

# What the daemon keeps of root's rights.
CapabilityBoundingSet=${Object.keys(KEPT_CAPABILITIES).join(' ')}
NoNewPrivileges=yes
# Of the file system it writes its own directories and the sysctls of interfaces.
ProtectSystem=strict
ProtectHome=${atHome ? 'read-only' : 'yes'}
PrivateTmp=yes
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
DeviceAllow=/dev/cpu_dma_latency w
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
# It makes one network namespace, and enters those of containers.
RestrictNamespaces=net
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service @pkey bpf pidfd_getfd
SystemCallErrorNumber=EPERM
# V8 makes code while it runs.
MemoryDenyWriteExecute=no

[Install]
WantedBy=multi-user.target docker.service
`;
}

/** The driver a unit is for; undefined: it is not one of these. */
export function driverOf(unit: string): string | undefined {
  return /^ExecStart=.* daemon --docker ([\w.-]+) /m.exec(unit)?.[1];
}

/** An argument as systemd.syntax(7) and systemd.service(5) read it back. */
function quoted(argument: string): string {
  const escaped = argument.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped.replace(/[\\"]/g, '\\$&')}"`;
}
