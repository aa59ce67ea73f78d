/** The page's style: light, dark by the reader's preference, and print. Nothing is loaded from anywhere. */
import { DARK_COLORS } from './looks.js';

export const STYLE = `
:root{color-scheme:light dark;--page:#ffffff;--text:#1c1e21;--muted:#5c6066;--line:#d9dce0;--panel:#f5f6f8;--warn:#b3261e;--good:#00704f;--link:#005a8c}
@media screen and (prefers-color-scheme:dark){:root{--page:#15171a;--text:#e8e9eb;--muted:#a2a7ae;--line:#363a40;--panel:#1e2125;--warn:#ff9a8f;--good:#3fd0a4;--link:#8fd0f5;${DARK_COLORS}}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:920px;padding:32px 24px 64px;background:var(--page);color:var(--text);font:15px/1.55 system-ui,sans-serif}
h1{font-size:28px;line-height:1.2;margin:0 0 6px}
h2{font-size:20px;margin:44px 0 8px;border-top:1px solid var(--line);padding-top:24px}
h3{font-size:15px;margin:26px 0 4px}
p{margin:6px 0}
a{color:var(--link)}
.sub,figcaption,caption,dt{color:var(--muted)}
nav{margin:14px 0 0;font-size:14px}
nav a{margin-right:14px;white-space:nowrap}
figure{margin:14px 0 20px;overflow-x:auto}
figcaption{font-size:13px;margin-top:4px}
svg{display:block;max-width:100%;height:auto;min-width:560px}
.box{border-left:4px solid var(--line);background:var(--panel);padding:10px 16px;margin:18px 0}
.box.warn{border-color:var(--warn)}
.box.warn strong{color:var(--warn)}
.box ul{margin:4px 0;padding-left:20px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;width:100%;margin:10px 0}
caption{text-align:left;font-size:13px;padding:4px 0}
th,td{padding:3px 8px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;vertical-align:top}
thead th{color:var(--muted);font-weight:600;border-bottom-width:2px}
th[scope=row],th[scope=rowgroup],th.left,td.left{text-align:left}
tbody th[scope=row]{font-weight:400}
th[scope=rowgroup]{font-weight:600;padding-top:10px}
td.prose{white-space:normal;text-align:left}
.better{color:var(--good);font-weight:600}
.worse{color:var(--warn);font-weight:600}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;font-size:14px;margin:8px 0}
dd{margin:0;overflow-wrap:anywhere}
pre{background:var(--panel);padding:12px 16px;overflow-x:auto;font-size:13px}
summary{cursor:pointer;color:var(--link);margin:8px 0}
@media print{
@page{margin:14mm}
body{max-width:none;padding:0;font-size:11px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav{display:none}
h2,h3{break-after:avoid}
figure,.box,tr{break-inside:avoid}
figure,.scroll{overflow:visible}
svg{min-width:0;width:100%}
th,td{padding:2px 5px;font-size:9.5px}
pre{white-space:pre-wrap}
}
`;
