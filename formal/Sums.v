(* Finite sums over {0, ..., n-1}. *)
From Coq Require Import Reals Lra Lia.
Open Scope R_scope.

Fixpoint sum (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S k => sum k f + f k end.

Lemma sum_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> sum n f = sum n g.
Proof.
  induction n as [|n IH]; intros H; simpl; [reflexivity|].
  rewrite (H n), IH by (intros; try apply H; lia); reflexivity.
Qed.

Lemma sum_zero n f : (forall i, (i < n)%nat -> f i = 0) -> sum n f = 0.
Proof.
  induction n as [|n IH]; intros H; simpl; [reflexivity|].
  rewrite (H n), IH by (intros; try apply H; lia); ring.
Qed.

Lemma sum_plus n f g : sum n (fun i => f i + g i) = sum n f + sum n g.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_minus n f g : sum n (fun i => f i - g i) = sum n f - sum n g.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_scal n c f : sum n (fun i => c * f i) = c * sum n f.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_scal_r n c f : sum n (fun i => f i * c) = sum n f * c.
Proof. induction n as [|n IH]; simpl; [|rewrite IH]; ring. Qed.

Lemma sum_le n f g : (forall i, (i < n)%nat -> f i <= g i) -> sum n f <= sum n g.
Proof.
  induction n as [|n IH]; intros H; simpl; [lra|].
  apply Rplus_le_compat; [apply IH; intros; apply H|apply H]; lia.
Qed.

Lemma sum_nonneg n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= sum n f.
Proof.
  intros H. rewrite <- (sum_zero n (fun _ => 0)) by reflexivity. now apply sum_le.
Qed.

Lemma sum_swap n m (f : nat -> nat -> R) :
  sum n (fun i => sum m (fun j => f i j)) = sum m (fun j => sum n (fun i => f i j)).
Proof.
  induction n as [|n IH]; simpl.
  - now rewrite sum_zero.
  - now rewrite IH, <- sum_plus.
Qed.

Lemma sum_mult n m f g : sum n f * sum m g = sum n (fun i => sum m (fun j => f i * g j)).
Proof.
  rewrite <- sum_scal_r. apply sum_ext; intros. now rewrite sum_scal.
Qed.

(* A sum with one term that is not 0. *)
Lemma sum_single n a f :
  (a < n)%nat -> (forall i, (i < n)%nat -> i <> a -> f i = 0) -> sum n f = f a.
Proof.
  induction n as [|n IH]; intros Ha H; [lia|]; simpl.
  destruct (Nat.eq_dec n a) as [->|E].
  - rewrite sum_zero by (intros; apply H; lia). ring.
  - rewrite IH, (H n) by (intros; try apply H; lia). ring.
Qed.

Lemma sum_two n a b f : (a < n)%nat -> (b < n)%nat -> a <> b ->
  (forall i, (i < n)%nat -> i <> a -> i <> b -> f i = 0) -> sum n f = f a + f b.
Proof.
  intros Ha Hb N H.
  rewrite (sum_ext n f (fun i => (if (i =? a)%nat then f i else 0)
    + (if (i =? a)%nat then 0 else f i))) by (intros; destruct (i =? a)%nat; ring).
  rewrite sum_plus. f_equal.
  - rewrite (sum_single n a), Nat.eqb_refl; auto.
    intros i _ E. now apply Nat.eqb_neq in E as ->.
  - rewrite (sum_single n b).
    + now apply not_eq_sym, Nat.eqb_neq in N as ->.
    + auto.
    + intros i Hi E. destruct (Nat.eqb_spec i a); auto.
Qed.

(* A term of a sum of nonnegative terms is at most the sum. *)
Lemma sum_term_le n a f :
  (a < n)%nat -> (forall i, (i < n)%nat -> 0 <= f i) -> f a <= sum n f.
Proof.
  induction n as [|n IH]; intros Ha H; [lia|]; simpl.
  destruct (Nat.eq_dec n a) as [->|E].
  - pose proof (sum_nonneg a f (fun i Hi => H i (Nat.lt_lt_succ_r _ _ Hi))). lra.
  - pose proof (H n (Nat.lt_succ_diag_r n)).
    assert (f a <= sum n f) by (apply IH; intros; try apply H; lia). lra.
Qed.

(* The terms before l, as a sum over all indices. *)
Lemma sum_prefix n l f :
  (l <= n)%nat -> sum l f = sum n (fun i => if (i <? l)%nat then f i else 0).
Proof.
  induction n as [|n IH]; intros H; simpl.
  - now replace l with O by lia.
  - destruct (Nat.eq_dec l (S n)) as [->|E].
    + simpl. rewrite (proj2 (Nat.ltb_lt n (S n))) by lia. f_equal. apply sum_ext; intros i Hi.
      now rewrite (proj2 (Nat.ltb_lt i (S n))) by lia.
    + rewrite (proj2 (Nat.ltb_ge n l)), IH by lia. ring.
Qed.
