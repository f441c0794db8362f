// What the simulated releases ask of their guards: every guard there is.
import { guardsSection } from '../../../src/release/guards/settings.js'

export const settings = guardsSection.parse({ cost: { enabled: true }, outcomes: { converted: { worse: 'less' } } })
