/** Which picture is large: the board when there is one, else the lecturer; a click swaps them. */

import { computed, type ComputedRef, ref, type Ref } from 'vue'
import type { Lesson, Tile } from '@/lesson/types'

export interface Pictures {
  swapped: Ref<boolean>
  main: ComputedRef<Tile>
  /** The smaller one; null when only one is worth showing. */
  second: ComputedRef<Tile | null>
  /** On whom everybody is to look, beside the large picture. */
  spotlit: ComputedRef<Tile | null>
  /** The rest of the stage: whom no other place shows. */
  others: ComputedRef<Tile[]>
  hasBoard: ComputedRef<boolean>
  swap: () => void
}

export function usePictures(lesson: Lesson): Pictures {
  const swapped = ref(false)
  const hasBoard = computed(() => lesson.board.status !== 'empty')
  const main = computed(() => (hasBoard.value && !swapped.value ? lesson.board : lesson.lecturer))
  const second = computed(() => {
    if (!hasBoard.value) return null
    return swapped.value ? lesson.board : lesson.lecturer
  })
  const spotlit = computed(
    // Of whom this page has no picture there is nothing to show large.
    () => lesson.stage.find((tile) => (tile.self || tile.video !== null) && tile.participant?.id === lesson.spotlight?.id) ?? null,
  )
  const others = computed(() => lesson.stage.filter((tile) => tile !== spotlit.value))
  const swap = (): void => {
    if (hasBoard.value) swapped.value = !swapped.value
  }
  return { swapped, main, second, spotlit, others, hasBoard, swap }
}
