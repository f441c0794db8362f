// The oracle of windows is part of the product: training sets are proven with it.
export { bruteForce } from '../../src/features/aggregate/window-oracle.js'
