/** The servers of the request types: one worker, no log, one page of 612 bytes as nginx delivers it after its installation. */

/** Ports they listen on, which are the host's published ones, too. */
export const NGINX_PORT = 8080;
export const REDIS_PORT = 6379;

export const PAGE = `${'x'.repeat(611)}\n`;

/** @param folder where nginx keeps what it cannot keep in memory. @param root with index.html. @param pid its file */
export function nginxConfig({ folder, root, pid }: { folder: string; root: string; pid: string }): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${folder}/${what};`);
  return `worker_processes 1;
user root root;
pid ${pid};
error_log /dev/null;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  ${temporary.join(' ')}
  server { listen ${NGINX_PORT}; root ${root}; }
}
`;
}

export const REDIS_ARGUMENTS: readonly string[] = ['--port', String(REDIS_PORT), '--save', '', '--protected-mode', 'no'];
