// Turns what the server says in English into Chinese, by a table of its sentences.

/**
 * A function that translates a sentence; one that isn't in the table stays as it is.
 *
 * @param table Pairs of a regular expression for the whole sentence, and its translation, in which {1} stands for
 *   what the first group has found. That may be a sentence of the table, too. The first pair that fits is used.
 */
export function translator(table) {
  const patterns = table.map(([pattern, translation]) => [new RegExp(`^${pattern}$`), translation]);

  function translate(sentence) {
    for (const [pattern, translation] of patterns) {
      const found = pattern.exec(sentence);
      if (found) {
        return translation.replace(/\{(\d)\}/g, (_, place) => translate(found[place]));
      }
    }
    return sentence;
  }

  return translate;
}
