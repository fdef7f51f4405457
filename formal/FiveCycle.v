(* The instance of claim P2c and what is computed of it, in whole numbers: d = 4, K = 5, m = 2,
   D^* = [e_1, e_2, e_3, e_4, (1,1,1,1)/2], p uniform; on the edges (1,2), (1,5), (2,3), (3,4) and
   (4,5) of a cycle and t = r..1, r = (20, 15, 14, 16, 11), codes y_i = s_i, y_j = t s_j, with
   s = (100, 8, 4, 2, 1/16).

   `atom k i` is 2 D^*_ik, `code e k` is 16 Y^*_k of sample e, `coordinate e i` is 32 times x_i and
   `correlation e k` is 64 <d_k, x>. For atoms k, l in slots a < b a sample saves, at its best codes,
     [w_a^2 A^2 - 2 w_a w_b g A B + w_a w_b B^2] / (w_a - w_b g^2),
   with A = <d_k, x>, B = <d_l, x> and g = <d_k, d_l>; `saved` is that times 20480 M. `total` is what
   an order loses, each sample at the best of its ten pairs of slots, and `exceeds` adds that up,
   sample after sample, until a bound is reached. *)
From Coq Require Import ZArith List Bool.
Import ListNotations.
Open Scope Z_scope.

Definition sample := (nat * nat * nat)%type.
Definition edges : list sample := [(0, 1, 20); (0, 4, 15); (1, 2, 14); (2, 3, 16); (3, 4, 11)]%nat.
Definition samples : list sample :=
  flat_map (fun '(i, j, r) => map (fun t => (i, j, t)) (rev (seq 1 r))) edges.

Definition scale (k : nat) : Z := nth k [1600; 128; 64; 32; 1] 0.
Definition code (e : sample) (k : nat) : Z :=
  let '(i, j, t) := e in
  if (k =? i)%nat then scale i else if (k =? j)%nat then Z.of_nat t * scale j else 0.
Definition atom (k i : nat) : Z := if (k =? 4)%nat then 1 else if (i =? k)%nat then 2 else 0.

Fixpoint sumZ (n : nat) (f : nat -> Z) : Z :=
  match n with O => 0 | S k => sumZ k f + f k end.
Definition coordinate (e : sample) (i : nat) : Z := sumZ 5 (fun k => atom k i * code e k).
Definition correlation (e : sample) (k : nat) : Z := sumZ 4 (fun i => atom k i * coordinate e i).
Definition gram (k l : nat) : Z := sumZ 4 (fun i => atom k i * atom l i).
Definition squares (e : sample) : Z := sumZ 4 (fun i => coordinate e i * coordinate e i).

(* 5 w_a, and M, a multiple of every denominator 16 W_a - W_b gram^2. *)
Definition W (a : nat) : Z := 5 - Z.of_nat a.
Definition M : Z := 16 * 232792560.
Definition denominator (a b : nat) (g : Z) : Z := 16 * W a - W b * (g * g).
Definition factor (a b : nat) (g : Z) : Z := M / denominator a b g.
Definition saved (a b : nat) (A B g : Z) : Z :=
  factor a b g * (W a * (16 * (W a * (A * A)) - 8 * (W b * g * (A * B)) + 16 * (W b * (B * B)))).

Definition pairs : list (nat * nat) :=
  filter (fun '(a, b) => (a <? b)%nat) (list_prod (seq 0 5) (seq 0 5)).
Definition best (A : list Z) (order : list nat) : Z :=
  fold_right (fun '(a, b) most => Z.max most (let k := nth a order O in let l := nth b order O in
    saved a b (nth k A 0) (nth l A 0) (gram k l))) 0 pairs.

(* A sample's 20480 M ||x||^2, and its correlations with the five atoms. *)
Definition row (e : sample) : Z * list Z := (20 * M * squares e, map (correlation e) (seq 0 5)).
Definition total (order : list nat) (rows : list (Z * list Z)) : Z :=
  fold_right (fun '(n, A) rest => (n - best A order) + rest) 0 rows.
Fixpoint exceeds (order : list nat) (bound : Z) (rows : list (Z * list Z)) : bool :=
  if bound <=? 0 then true else
  match rows with
  | [] => false
  | (n, A) :: rest => exceeds order (bound - (n - best A order)) rest
  end.

Fixpoint distinct (l : list nat) : bool :=
  match l with [] => true | a :: r => if existsb (Nat.eqb a) r then false else distinct r end.
Fixpoint tuples (k : nat) : list (list nat) :=
  match k with O => [[]] | S k => flat_map (fun t => map (fun a => a ::
    t) (seq 0 5)) (tuples k) end.

(* 20480 M times 24135321/512. *)
Definition at_truth : Z := 24135321 * (40 * M).

Definition all_rows := map row samples.

Lemma best_order_total : total [0; 1; 2; 3; 4]%nat all_rows = at_truth.
Proof. vm_compute. reflexivity. Qed.

Lemma every_order_exceeds : forallb (fun order =>
  if distinct order then exceeds order at_truth all_rows else true) (tuples 5) = true.
Proof. vm_compute. reflexivity. Qed.

(* d_1 turned to (399,40,0,0)/401, all atoms times 802; residuals times 12832, Y^* kept. *)
Definition turned (k i : nat) : Z :=
  if (k =? 0)%nat then nth i [798; 80; 0; 0] 0 else 401 * atom k i.
Definition turned_residual (e : sample) (l i : nat) : Z :=
  401 * coordinate e i - sumZ l (fun k => turned k i * code e k).
Definition turned_total : Z := sumZ 5 (fun l => sumZ 76 (fun n => sumZ 4 (fun i =>
  turned_residual (nth n samples (0, 1, 1)%nat) (S l) i
  * turned_residual (nth n samples (0, 1, 1)%nat) (S l) i))).

Lemma turned_value : turned_total * 64160 = 2814826129 * (5 * (12832 * 12832)).
Proof. vm_compute. reflexivity. Qed.
