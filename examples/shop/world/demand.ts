// How many units of each kind of product were sold in each week: two hundred kinds, forty in each category of the catalogue.
import { CATEGORIES, type Category, MEDIAN_PRICE } from './products.js'
import { Random, round } from './random.js'
import { expectedUnits, type KindHabits } from './truth.js'

export interface Demand {
  /** `toys-puzzles`: the name of its model is `demand-toys-puzzles`. */
  readonly kind: string
  readonly category: Category
  /** Weeks since the first one; the last week is the one before the world's first day. */
  readonly week: number
  readonly features: DemandFeatures
  /** Units sold in that week. */
  readonly units: number
}

/** All of them known before the week begins. */
export interface DemandFeatures {
  /** 1 to 52. */
  readonly week_of_year: number
  /** The week's price over the usual one. */
  readonly price_ratio: number
  /** Whether the shop's front page shows the kind that week. */
  readonly is_promoted: number
  readonly units_last_week: number
  /** Mean of the last four weeks. */
  readonly units_last_month: number
  readonly units_last_year: number
}

const KINDS: Readonly<Record<Category, string>> = {
  books:
    'art atlases biographies business chess children classics comics computing cooking crime crafts dictionaries drama economics essays fantasy gardening guides health history horror humour languages law mathematics memoirs music nature novels philosophy photography physics poetry politics psychology religion romance science travel',
  clothing:
    'aprons belts blouses boots cardigans coats dresses fleeces gloves hats hoodies jackets jeans jerseys jumpers leggings mittens overalls parkas ponchos pyjamas raincoats robes sandals scarves shawls shirts shorts skirts slippers sneakers socks suits sweaters swimwear ties tights trousers underwear vests',
  electronics:
    'adapters amplifiers antennas batteries cables calculators cameras chargers clocks consoles drones earphones flashdrives headphones headsets hubs keyboards lamps laptops lenses loudspeakers memory mice microphones microscopes monitors phones printers projectors radios recorders routers scanners sensors smartwatches tablets telescopes televisions thermostats turntables',
  garden:
    'axes barbecues barrows benches birdhouses bulbs canopies composters fences fertiliser fountains furniture gazebos gloves greenhouses hammocks hedgetrimmers hoses lanterns lawnmowers mulch nets parasols planters ponds pots pruners rakes sandpits saws seeds shears sheds shovels soil sprinklers swings tools trellises watering',
  toys: 'balloons balls blocks boardgames bricks bubbles cards cars castles crayons dinosaurs dolls dominoes drums frisbees jigsaws juggling kites magic marbles masks musicboxes paints pinwheels plush puppets puzzles racetracks robots scooters skipping slime spinners stickers tents trains trampolines tricycles wagons yoyos',
}

/** Every kind, with its category before its name. */
export const DEMAND_KINDS: readonly { readonly kind: string; readonly category: Category }[] = CATEGORIES.flatMap(
  (category) => KINDS[category].split(' ').map((name) => ({ kind: `${category}-${name}`, category })),
)

/** Drawn and thrown away, so that the first week of the file has a week, a month and a year before it. */
const YEAR_WEEKS = 52

/** `weeks` for each kind, kind by kind. What one kind sells does not depend on how many kinds or weeks are asked for. */
export function createDemand(seed: number, weeks: number): readonly Demand[] {
  return DEMAND_KINDS.flatMap(({ kind, category }) => {
    const random = new Random(seed, `demand ${kind}`)
    const habits = habitsOf(category, random)
    const sold: number[] = []
    const demand: Demand[] = []
    for (let week = -YEAR_WEEKS; week < weeks; week++) {
      const week_of_year = ((week + YEAR_WEEKS) % YEAR_WEEKS) + 1
      const is_promoted = random.chance(0.12) ? 1 : 0
      const price_ratio = round(is_promoted === 1 ? random.between(0.7, 0.95) : random.between(0.92, 1.08), 2)
      const expected = expectedUnits(habits, { week, week_of_year, price_ratio, is_promoted })
      // Weeks differ by more than chance alone: weather, news, a shelf that stood empty.
      const units = sales(expected * random.logNormal(1, 0.08), random)
      if (week >= 0) {
        const month = sold.slice(-4)
        const features = {
          week_of_year,
          price_ratio,
          is_promoted,
          units_last_week: sold.at(-1)!,
          units_last_month: round(month.reduce((sum, each) => sum + each, 0) / month.length, 2),
          units_last_year: sold.at(-YEAR_WEEKS)!,
        }
        demand.push({ kind, category, week, features, units })
      }
      sold.push(units)
    }
    return demand
  })
}

/** A Poisson draw; around large means the normal distribution, which is close there and does not take as many steps as units. */
function sales(mean: number, random: Random): number {
  return mean < 100 ? random.poisson(mean) : Math.max(0, Math.round(random.normal(mean, Math.sqrt(mean))))
}

function habitsOf(category: Category, random: Random): KindHabits {
  return {
    // Cheap things sell more often.
    level: Math.min(400, random.logNormal(2400 / MEDIAN_PRICE[category], 0.6)),
    yearlyGrowth: random.between(-0.15, 0.3),
    seasonSize: random.between(0.1, category === 'garden' ? 0.9 : 0.5),
    // Gardens peak in May, the rest before Christmas, each kind somewhat apart.
    peakWeek: (category === 'garden' ? 20 : 49) + random.normal(0, 4),
    elasticity: random.between(1.2, 3),
    promotion: random.between(1.1, 1.8),
  }
}
