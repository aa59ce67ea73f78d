/** What to type next. */
import { columns } from './report.js';
import { BRIDGE, DB, GATEWAY, type Stage, SUBNET } from './stage.js';

/** In the environment of a demo that runs in a user namespace (cli/demo): what it says is read by somebody outside of it. */
export const USER_NAMESPACE_MARK = 'TAPBRIDGE_DEMO_USER_NAMESPACE';

function inUserNamespace(): boolean {
  return process.env[USER_NAMESPACE_MARK] !== undefined;
}

/** After a demo that took everything down again. */
export function whatNext(program: string): string[] {
  const asRoot = process.getuid?.() === 0 && !inUserNamespace() ? program : `sudo ${program}`;
  const lines = columns([
    [`  ${program} demo --keep`, '# the same, and the lab stays for you to look around'],
    [`  ${asRoot} daemon`, '# a daemon of your own; then, in another terminal:'],
    [`  ${asRoot} create tb0 --subnet ${SUBNET}`, ''],
    [`  ${asRoot} attach tb0 web --pid PID --ip auto`, '# any container that was started without a network'],
    [`  ${asRoot} show tb0`, ''],
  ]);
  return ['Next:', ...lines];
}

/** How to enter a lab that was kept, and how to end it. */
export function howToEnter(stage: Stage, program: string, keeper: number): string[] {
  // Without root the lab lies in a user namespace, which is entered too.
  const enter = `nsenter ${inUserNamespace() ? '--user --preserve-credentials ' : ''}--net --target`;
  return [
    'The lab is yours. Look at it:',
    `  export TAPBRIDGE_SOCKET=${stage.socket}`,
    `  ${program} show ${BRIDGE}`,
    `  ${program} capture ${BRIDGE} -c 10`,
    'Be in one of its containers, or on its host:',
    ...columns([
      [`  ${enter} ${stage.web.pid} ping -c 3 ${DB}`, '# web'],
      [`  ${enter} ${stage.db.pid} ping -c 3 ${GATEWAY}`, '# db'],
      [`  ${enter} ${stage.host.pid} sh`, '# the host'],
    ]),
    `The log of the daemon is ${stage.logFile}`,
    'End it:',
    `  kill ${keeper}`,
  ];
}
