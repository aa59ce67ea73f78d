/** What an orderly end of the daemon leaves: nothing of ours, or interfaces, record and connections for the next daemon. */
export const ON_STOP = ['remove', 'keep'] as const;
export type OnStop = (typeof ON_STOP)[number];
