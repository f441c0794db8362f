// What tools for accessibility find first, in the page as it is: names, landmarks, headings, ids, headers of tables.
;(() => {
  const problems = []
  const nameOf = (element) =>
    (element.getAttribute('aria-label') ?? '') +
    (element.textContent ?? '').trim() +
    [...(element.labels ?? [])].map((label) => label.textContent).join('')
  for (const element of document.querySelectorAll('a[href], button, input, select, summary'))
    if (nameOf(element) === '') problems.push(`no name: ${element.outerHTML.slice(0, 120)}`)
  for (const table of document.querySelectorAll('table'))
    if (!table.getAttribute('aria-label') && !table.closest('.uplot')) problems.push('table without a name')
  for (const th of document.querySelectorAll('table[aria-label] th'))
    if (!th.getAttribute('scope')) problems.push(`th without scope: ${th.textContent}`)
  for (const image of document.querySelectorAll('img')) if (!image.hasAttribute('alt')) problems.push('img without alt')
  for (const svg of document.querySelectorAll('svg'))
    if (!svg.getAttribute('aria-label') && !svg.getAttribute('aria-hidden')) problems.push('svg without a name')
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  if (new Set(ids).size !== ids.length) problems.push('an id twice')
  for (const [tag, wanted] of [
    ['main', 1],
    ['h1', 1],
  ])
    if (document.querySelectorAll(tag).length !== wanted) problems.push(`not one ${tag}`)
  if (document.documentElement.lang === '') problems.push('no language')
  return problems
})()
