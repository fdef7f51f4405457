(* One atom a sample (m = 1): the loss of a sample whose code is z on atom a alone is
   ||x||^2 + w_a (z^2 - 2 z <d_a, x>), so it is at least ||x||^2 - w_a <d_a, x>^2. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements.
Import ListNotations.
Open Scope R_scope.

Definition one_atom (a : nat) (z : R) : vec := fun j => if (j =? a)%nat then z else 0.

(* The residual of a prefix that holds a is x - z d_a, of any other x. *)
Lemma residual_one_atom D l x y a i :
  (forall j, j <> a -> (j < l)%nat -> y j = 0) ->
  residual D l x y i = x i - (if (a <? l)%nat then y a * D i a else 0).
Proof.
  intros H. unfold residual. f_equal. destruct (Nat.ltb_spec a l) as [L|L].
  - rewrite (sum_single l a); [ring|auto|]. intros j Hj Ej. rewrite H; auto. ring.
  - apply sum_zero; intros j Hj. rewrite H by lia. ring.
Qed.

Lemma norm2_step d x z u :
  norm2 d (fun i => x i - z * u i) = norm2 d x + z * z * norm2 d u - 2 * z * dot d u x.
Proof.
  unfold norm2, dot.
  rewrite <- !sum_scal, <- sum_plus, <- sum_minus. apply sum_ext; intros. ring.
Qed.

Lemma sample_loss_one_atom d K p D x y a :
  law K p -> unit_norm d K D -> (a < K)%nat ->
  (forall j, j <> a -> (j < K)%nat -> y j = 0) ->
  sample_loss d K p D x y
  = norm2 d x + survival K p a * (y a * y a - 2 * y a * dot d (col D a) x).
Proof.
  intros [_ P] U Ha H. unfold sample_loss, survival.
  rewrite <- sum_scal_r. rewrite <- (Rmult_1_l (norm2 d x)), <- P, <- sum_scal_r, <- sum_plus.
  apply sum_ext; intros k Hk.
  replace (norm2 d (residual D (S k) x y))
    with (norm2 d (fun i => x i - (if (a <? S k)%nat then y a else 0) * col D a i)).
  - rewrite norm2_step, (U a Ha).
    destruct (Nat.ltb_spec a (S k)), (Nat.leb_spec a k); try lia; ring.
  - apply sum_ext; intros i _. rewrite (residual_one_atom D (S k) x y a i).
    + unfold col. destruct (a <? S k)%nat; ring.
    + intros j Hj L. apply H; auto; lia.
Qed.

(* A 1-sparse code has one atom, or none. *)
Lemma one_sparse K y : (0 < K)%nat -> sparse K 1 y ->
  exists a, (a < K)%nat /\ forall j, j <> a -> (j < K)%nat -> y j = 0.
Proof.
  intros HK [s [L H]]. destruct s as [|a [|b s]]; [| |simpl in L; lia].
  - exists O. split; auto. intros j _ Hj. destruct (Req_EM_T (y j) 0); auto. now elim (H j).
  - destruct (lt_dec a K) as [Ha|Ha].
    + exists a. split; auto. intros j Ej Hj. destruct (Req_EM_T (y j) 0); auto.
      now destruct (H j Hj n) as [<-|[]].
    + exists O. split; auto. intros j _ Hj. destruct (Req_EM_T (y j) 0); auto.
      destruct (H j Hj n) as [<-|[]]. contradiction.
Qed.

(* K = 2. *)
Lemma one_code_or_the_other Y n : sparse 2 1 (col Y n) -> Y 0%nat n = 0 \/ Y 1%nat n = 0.
Proof.
  intros S. destruct (one_sparse 2 (col Y n) ltac:(lia) S) as [a [Ha H]].
  unfold col in H. destruct a as [|[|a]]; [right|left|lia]; apply H; lia.
Qed.

(* What a sample costs at least: it takes a slot a, where it saves w_a <d_a, x>^2. *)
Lemma ray_bound d K p D x y :
  law K p -> unit_norm d K D -> (0 < K)%nat -> sparse K 1 y ->
  exists a, (a < K)%nat /\
  norm2 d x - survival K p a * (dot d (col D a) x * dot d (col D a) x)
  <= sample_loss d K p D x y.
Proof.
  intros P U HK S. destruct (one_sparse K y HK S) as [a [Ha H]]. exists a. split; auto.
  rewrite (sample_loss_one_atom d K p D x y a) by auto.
  pose proof (Rmult_le_pos _ _ (survival_nonneg K p a P)
    (Rle_0_sqr (y a - dot d (col D a) x))) as H0. unfold Rsqr in H0. lra.
Qed.

(* What a sample saves on an atom does not depend on the atom's sign. *)
Lemma parallel_saves d x y v : parallel d x y -> dot d x v * dot d x v = dot d y v * dot d y v.
Proof.
  intros [H|H].
  - replace (dot d x v) with (dot d y v); auto. apply sum_ext; intros. now rewrite H.
  - replace (dot d x v) with (- 1 * dot d y v); [ring|].
    unfold dot. rewrite <- sum_scal. apply sum_ext; intros. rewrite H; auto. ring.
Qed.

(* Codes with one atom a sample, sample n on atom slot n. *)
Definition on_slots (slot : nat -> nat) (z : vec) : mat := fun j n => one_atom (slot n) (z n) j.

Lemma on_slots_sparse K N slot z : sparse_columns K N 1 (on_slots slot z).
Proof.
  intros n _. exists [slot n]. split; auto. intros j _ H. left.
  unfold col, on_slots, one_atom in H. destruct (Nat.eqb_spec j (slot n)); congruence.
Qed.

Lemma on_slots_loss d K N p X D slot z :
  law K p -> unit_norm d K D -> (forall n, (n < N)%nat -> (slot n < K)%nat) ->
  nested_code_loss d K N p X D (on_slots slot z)
  = sum N (fun n => norm2 d (col X n)
      + survival K p (slot n) * (z n * z n - 2 * z n * dot d (col D (slot n)) (col X n))).
Proof.
  intros P U H. rewrite nested_code_loss_by_samples. apply sum_ext; intros n Hn.
  rewrite (sample_loss_one_atom d K p D (col X n) _ (slot n)); auto.
  - unfold col at 2 3 4. unfold on_slots, one_atom. now rewrite Nat.eqb_refl.
  - intros j Hj _. unfold col, on_slots, one_atom. destruct (Nat.eqb_spec j (slot n)); congruence.
Qed.
