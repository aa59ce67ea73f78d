/** HTML and SVG by templates that escape what is put into them: a result file may come from anybody. */

/** Text that is markup already. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Markup | string | number | readonly Content[];

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Tag of a template: everything between its fixed parts is escaped, except `Markup`; lists are joined. Attributes are to stand in double quotes. */
export function markup(parts: TemplateStringsArray, ...contents: Content[]): Markup {
  let text = parts[0];
  contents.forEach((content, index) => {
    text += render(content) + parts[index + 1];
  });
  return new Markup(text);
}

function render(content: Content): string {
  if (content instanceof Markup) return content.text;
  if (Array.isArray(content)) return content.map(render).join('');
  return String(content).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

/** Nothing, where an optional part is left out. */
export const NOTHING = new Markup('');
